"""ExecuTorch in 8 bits: all layers but those named, still one delegate, and the same pictures."""

from pathlib import Path

import numpy as np
import pytest

from mimdit.export import executorch as exporter
from mimdit.quantize.executorch import CONVERTER
from mimdit.quantize.recipe import Recipe, by
from mimdit.quantize.weights import rounded

from .tiny import SMALL, TINY_TILE, TinyGraph, weight

pytest.importorskip("executorch")

from mimdit.runtimes.executorch import ExecutorchRuntime

ALWAYS = ("codec.encoder.stem", "codec.decoder.residual")


@pytest.fixture(scope="module")
def graph() -> TinyGraph:
    return TinyGraph()


def _written(graph: TinyGraph, recipe: Recipe, folder: Path) -> Path:
    by(CONVERTER, recipe).convert([graph], "w8a8", folder, "0123456789abcdef")  # pyright: ignore[reportArgumentType]
    return folder / f"{graph.name}.pte"


def _holds_float(content: bytes, graph: TinyGraph, layer: str) -> bool:
    """In XNNPACK's layout, channels last."""
    values = weight(graph, layer)
    return np.ascontiguousarray(np.moveaxis(values.numpy(), 1, -1)).tobytes() in content


def test_layers_have_8_bits_and_the_rest_is_what_it_was(graph: TinyGraph, photo_folder: Path, tmp_path: Path) -> None:
    path = _written(graph, Recipe(photos=photo_folder, tiles=8), tmp_path)
    content = path.read_bytes()
    assert {f"{layer}.weight" for layer in (*SMALL, *ALWAYS)} <= set(CONVERTER.tensor_names(path))
    for layer in SMALL:
        small, _ = rounded(weight(graph, layer).numpy(), 0)
        assert np.ascontiguousarray(np.moveaxis(small, 1, -1)).tobytes() in content
        assert not _holds_float(content, graph, layer)
    assert all(_holds_float(content, graph, layer) for layer in ALWAYS)
    assert CONVERTER.remark is not None
    assert CONVERTER.remark(path) == "100.0% of the arithmetic delegated, in 1 pieces; nothing left to portable kernels"
    image, photo = graph.example_inputs()
    restored = ExecutorchRuntime(path, TINY_TILE, 1).run(image.numpy(), photo.numpy())
    assert 0 < np.abs(restored - graph(image, photo).numpy()).mean() < 0.005
    (whole := tmp_path / "fp32").mkdir()
    exporter.CONVERTER.convert([graph], "fp32", whole, "0" * 16)  # pyright: ignore[reportArgumentType]
    assert len(content) < 0.55 * (whole / path.name).stat().st_size


def test_a_layer_put_back_is_in_float(graph: TinyGraph, photo_folder: Path, tmp_path: Path) -> None:
    recipe = Recipe(photos=photo_folder, tiles=8).keeping(graph.name, ["tokens"])
    content = _written(graph, recipe, tmp_path).read_bytes()
    assert _holds_float(content, graph, "tokens")
    assert not _holds_float(content, graph, "stem")
