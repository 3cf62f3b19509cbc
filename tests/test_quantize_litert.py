"""LiteRT in 8 bits: what stays in float has 16 bits in the file, names are short, and the pictures are the same."""

from pathlib import Path

import numpy as np
import pytest

from mimdit.export.litert import read
from mimdit.quantize.litert import CONVERTER
from mimdit.quantize.recipe import Recipe, by
from mimdit.targets import Precision

from .tiny import SMALL, TINY_TILE, TinyGraph, weight

pytest.importorskip("litert_torch")


@pytest.mark.parametrize("precision", ["w8", "w8a8"])
def test_a_large_layer_in_float_has_16_bits_in_the_file(
    precision: Precision, photo_folder: Path, tmp_path: Path
) -> None:
    from mimdit.runtimes.litert import LiteRtRuntime

    graph = TinyGraph()
    kept = SMALL[1]
    recipe = Recipe(photos=photo_folder, tiles=8).keeping(graph.name, [kept])
    by(CONVERTER, recipe).convert([graph], precision, tmp_path, "0" * 16)  # pyright: ignore[reportArgumentType]
    path = tmp_path / f"{graph.name}.tflite"
    model = read(path)
    tensors = {tensor.name.decode(): tensor for tensor in model.subgraphs[0].tensors}
    assert max(map(len, tensors)) < 60
    half = model.buffers[tensors[f"{kept}.weight.half"].buffer].data
    stored = np.frombuffer(bytes(half), np.float16).astype(np.float32)
    assert np.array_equal(np.sort(stored), np.sort(weight(graph, kept).numpy().ravel()))
    assert path.stat().st_size < 0.45 * 4 * sum(values.numel() for values in graph.state_dict().values())
    image, photo = graph.example_inputs()
    restored = LiteRtRuntime(path, TINY_TILE, 1).run(image.numpy(), photo.numpy())
    assert 0 < np.abs(restored - graph(image, photo).numpy()).mean() < 0.005
