"""Core ML in 8 bits, in the MIL evaluator: which layers have them, and that the pictures are the same."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mimdit import mil_file
from mimdit.errors import MimditError
from mimdit.export.converter import find
from mimdit.mil_file import MilProgram
from mimdit.quantize import QUANTIZERS
from mimdit.quantize.recipe import Recipe, by
from mimdit.runtimes.mil import MilRuntime
from mimdit.targets import Precision

from .tiny import TINY_TILE, TinyGraph

pytest.importorskip("coremltools")


@pytest.fixture(scope="module")
def graph() -> TinyGraph:
    return TinyGraph()


def _written(graph: TinyGraph, precision: Precision, recipe: Recipe, folder: Path) -> Path:
    converter = by(find(QUANTIZERS, "coreml", precision), recipe)
    converter.convert([graph], precision, folder, "0123456789abcdef")  # pyright: ignore[reportArgumentType]
    return folder / f"{graph.name}.mlpackage"


def _error(graph: TinyGraph, path: Path) -> float:
    image, photo = graph.example_inputs()
    restored = MilRuntime(path, TINY_TILE).run(image.numpy(), photo.numpy())
    return float(np.abs(restored - graph(image, photo).numpy()).mean())


def _layers(program: MilProgram) -> list[tuple[str, str]]:
    """Of each layer, which operations its input and its weight come from."""
    made = {value.name: operation.type for operation in program.operations for value in operation.outputs}
    return [
        (made.get(operation.arguments["x"][0], ""), made.get(operation.arguments["weight"][0], "const"))
        for operation in program.operations
        if operation.type in ("conv", "linear")
    ]


def test_w8_is_weights_alone(graph: TinyGraph, tmp_path: Path) -> None:
    path = _written(graph, "w8", Recipe().keeping(graph.name, ["tokens"]), tmp_path)
    program = mil_file.read(path)
    kinds = Counter(weight for _, weight in _layers(program))
    assert kinds == {"constexpr_affine_dequantize": 3, "const": 1}
    assert "p_model_tokens_weight" in program.constants
    assert not {operation.type for operation in program.operations} & {"quantize", "dequantize"}
    assert 0 < _error(graph, path) < 0.001


def test_p6_has_weights_of_64_values(graph: TinyGraph, tmp_path: Path) -> None:
    path = _written(graph, "p6", Recipe().keeping(graph.name, ["tokens"]), tmp_path)
    program = mil_file.read(path)
    assert Counter(weight for _, weight in _layers(program)) == {"constexpr_lut_to_dense": 3, "const": 1}
    assert 0 < _error(graph, path) < 0.005


def test_at_w8a8_a_layer_reads_8_bits_where_its_weight_has_them(
    graph: TinyGraph, photo_folder: Path, tmp_path: Path
) -> None:
    path = _written(graph, "w8a8", Recipe(photos=photo_folder, tiles=8), tmp_path)
    layers = _layers(mil_file.read(path))
    small = ("dequantize", "constexpr_blockwise_shift_scale")
    assert layers.count(small) == 2  # all but the first and the last
    assert [weight for source, weight in layers if (source, weight) != small] == ["const", "const"]
    assert 0 < _error(graph, path) < 0.005


def test_small_activations_are_newer_than_ios_16() -> None:
    assert find(QUANTIZERS, "coreml", "w8").platform == "ios16"
    with pytest.raises(MimditError, match="cannot be built for ios16: choose one of ios18"):
        find(QUANTIZERS, "coreml", "w8a8").on("ios16")
