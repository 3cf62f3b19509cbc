"""ONNX in 8 bits: layouts that ONNX Runtime need not change, names that take no room, the same numbers."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from mimdit.benchmarks.hybrid import factor_of
from mimdit.export.converter import find
from mimdit.export.graph import DeployableGraph
from mimdit.metrics import psnr
from mimdit.model.mimdit import MiMDiT
from mimdit.quantize import QUANTIZERS
from mimdit.quantize.build import twin_of
from mimdit.quantize.channels_last import with_channels_last
from mimdit.quantize.onnx import plain, quantized, ranges
from mimdit.quantize.onnx_size import shrink
from mimdit.quantize.recipe import Recipe, by, float_file
from mimdit.runtimes import find as find_runtime
from mimdit.targets import Precision, Target

from .frozen import FROZEN_TILE, frozen


@pytest.fixture(scope="module")
def graph(lively: MiMDiT) -> DeployableGraph:
    return DeployableGraph(frozen(lively, "denoise"), tile=FROZEN_TILE, steps=1)


@pytest.fixture(scope="module")
def recipe(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return Recipe(photos=photo_folder, tiles=8, work=tmp_path_factory.mktemp("work"))


@pytest.fixture
def model(graph: DeployableGraph, recipe: Recipe, tmp_path: Path) -> onnx.ModelProto:
    exporter = twin_of(find(QUANTIZERS, "onnx", "w8"))
    return plain(float_file(exporter, graph, recipe, tmp_path), graph)


def _restored(model: onnx.ModelProto, graph: DeployableGraph, optimized: Path | None = None) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if optimized:
        options.optimized_model_filepath = str(optimized)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    image, photo = (tensor.numpy() for tensor in graph.example_inputs())
    return np.asarray(session.run(None, {"image": image, "photo": photo})[0])


def _maps(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, list[int]]]:
    """Nodes and the shape of what they give."""
    known = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {v.name: [axis.dim_value for axis in v.type.tensor_type.shape.dim] for v in known.value_info}
    yield from ((node, shapes.get(node.output[0], [])) for node in model.graph.node)


def test_channels_last_restores_the_same(model: onnx.ModelProto, graph: DeployableGraph) -> None:
    before = _restored(model, graph)
    count = len(model.graph.node)
    with_channels_last(model, frozenset({"codec.encoder.stem"}))
    onnx.checker.check_model(model, full_check=True)
    assert len(model.graph.node) > count
    np.testing.assert_allclose(_restored(model, graph), before, atol=1e-6)


def test_sums_of_residual_blocks_are_flat(model: onnx.ModelProto, graph: DeployableGraph) -> None:
    """What blocks of every level of the codec sum, and the enlarged gates that they are multiplied by."""
    with_channels_last(model, frozenset())
    made = {name: node for node in model.graph.node for name in node.output}
    flat = [node for node, shape in _maps(model) if node.op_type in {"Add", "Mul"} and len(shape) == 3]
    places = {shape[1] for node, shape in _maps(model) if node.op_type == "Mul" and node in flat}
    assert {(FROZEN_TILE >> level) ** 2 for level in range(3)} <= places
    for node, shape in _maps(model):  # sums of two convolutions are blocks of the codec, and none has four axes
        if node.op_type == "Add" and len(shape) == 4:
            assert not all(name in made and made[name].op_type == "Conv" for name in node.input)


def test_onnx_runtime_moves_fewer_maps(
    model: onnx.ModelProto, graph: DeployableGraph, recipe: Recipe, tmp_path: Path
) -> None:
    moved = []
    kept = recipe.kept(graph, "w8a8")
    for last in (False, True):
        if last:
            with_channels_last(model, kept)
        small = quantized(model, ranges(model, recipe.calibration(graph.tile)), kept)
        path = tmp_path / f"{last}.onnx"
        _restored(small, graph, optimized=path)
        full = FROZEN_TILE**2
        moved.append(sum(n.op_type == "Transpose" and np.prod(shape) > full for n, shape in _maps(onnx.load(path))))
    assert moved[1] < moved[0]


def test_values_have_numbers_and_what_is_stored_keeps_its_name(
    model: onnx.ModelProto, graph: DeployableGraph, recipe: Recipe
) -> None:
    kept = recipe.kept(graph, "w8a8")
    small = quantized(model, ranges(model, recipe.calibration(graph.tile)), kept)
    before, size = _restored(small, graph), small.ByteSize()
    names = {tensor.name for tensor in small.graph.initializer}
    shrink(small)
    assert small.ByteSize() < size
    np.testing.assert_allclose(_restored(small, graph), before, atol=2 / 255)  # the seed noise has 16 bits now
    left = {tensor.name for tensor in small.graph.initializer}
    assert left < names, "zeros of biases are gone"
    factors = Counter(factor_of(name, left) for name in left)
    assert factors["plan"] > 10
    assert 50 < factors["calibration"] < factors["weights"], "a scale and a zero point of each activation"
    between = {name for node in small.graph.node for name in node.output} - {"restored"}
    assert max(map(len, between)) <= len("fff")


@pytest.mark.parametrize("target", ["onnx", "openvino"])
@pytest.mark.parametrize("precision", ["w8", "w8a8"])
def test_steps_that_share_weights(
    target: Target, precision: Precision, lively: MiMDiT, recipe: Recipe, tmp_path: Path
) -> None:
    """Unrolled, a layer is computed at each step: with one weight, and with ranges of its own."""
    graph = DeployableGraph(frozen(lively, "denoise"), tile=FROZEN_TILE, steps=2)
    converter = by(find(QUANTIZERS, target, precision), recipe)
    converter.convert([graph], precision, tmp_path, "0" * 16)
    image, photo = graph.example_inputs()
    runtime = find_runtime(target).open(tmp_path / f"{graph.name}{converter.suffix}", FROZEN_TILE, 1)
    restored = runtime.run(image.numpy(), photo.numpy())
    assert psnr(restored, graph(image, photo).detach().numpy()) > (40 if precision == "w8" else 30)
