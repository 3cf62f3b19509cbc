"""Core AI in 8 bits, in its own runtime: which weights have them, and that the pictures are the same."""

import json
from pathlib import Path

import numpy as np
import pytest

from mimdit.export.coreai import WEIGHTS_KEY
from mimdit.quantize.coreai import CONVERTER
from mimdit.quantize.recipe import Recipe, by
from mimdit.targets import Precision

from .tiny import SMALL, TINY_TILE, TinyGraph, weight

pytest.importorskip("coreai_torch")


@pytest.mark.parametrize("precision", ["w8", "w8a8"])
def test_weights_have_8_bits_and_pictures_are_the_same(
    precision: Precision, photo_folder: Path, tmp_path: Path
) -> None:
    from mimdit.runtimes.coreai import CoreaiRuntime

    graph = TinyGraph()
    recipe = Recipe(photos=photo_folder, tiles=8)
    by(CONVERTER, recipe).convert([graph], precision, tmp_path, "0" * 16)  # pyright: ignore[reportArgumentType]
    path = tmp_path / f"{graph.name}.aimodel"
    places = json.loads((path / "metadata.json").read_text())["creatorDefinedMetadata"][WEIGHTS_KEY]
    sizes = {layer: places[f"{layer}.weight"]["bytes"] // weight(graph, layer).numel() for layer in SMALL}
    assert sizes == dict.fromkeys(SMALL, 1)
    ends = 4 if precision == "w8a8" else 1  # with 8-bit activations they stay in float
    assert places["codec.encoder.stem.weight"]["bytes"] == ends * weight(graph, "codec.encoder.stem").numel()
    image, photo = graph.example_inputs()
    restored = CoreaiRuntime(path, TINY_TILE).run(image.numpy(), photo.numpy())
    assert 0 < np.abs(restored - graph(image, photo).numpy()).mean() < 0.005
