"""What lies between convolutions gives the same with channels last: moved where that can be, left where not."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from mimdit.quantize.channels_last import with_channels_last

CHANNELS, HEIGHT, WIDTH = 8, 6, 10
RANDOM = np.random.default_rng(0)
CONSTANTS = {
    "half": np.float32(0.5),
    "one": np.ones(1, np.float32),
    "row": RANDOM.random(WIDTH, np.float32),
    "channels": RANDOM.random((1, CHANNELS, 1, 1), np.float32),
    "map": RANDOM.random((1, CHANNELS, HEIGHT, WIDTH), np.float32),
    "twice": np.array([1, 1, 2, 2], np.float32),
    "thrice_high": np.array([1, 1, 3, 2], np.float32),
    "half_more": np.array([1, 1, 1.5, 1.5], np.float32),
}


def _resize(scales: str, **settings: Any) -> list[NodeProto]:
    return [helper.make_node("Resize", ["a", "", scales], ["z"], **settings)]


def _nearest(scales: str, places: str = "asymmetric", rounding: str = "floor") -> list[NodeProto]:
    return _resize(scales, mode="nearest", coordinate_transformation_mode=places, nearest_mode=rounding)


def _sum(*names: str, kind: str = "Add") -> list[NodeProto]:
    return [helper.make_node(kind, list(names), ["z"])]


def _split(axis: int) -> list[NodeProto]:
    return [
        helper.make_node("Split", ["a"], ["x", "y"], axis=axis, num_outputs=2),
        helper.make_node("Mul", ["x", "y"], ["z"]),
    ]


MOVED = {
    "a sum": _sum("a", "b"),
    "a number": _sum("a", "half", kind="Mul"),
    "a number in a list": _sum("a", "one"),
    "itself": _sum("a", "a"),
    "halves": _split(1),
    "halves, counted from behind": _split(-3),
    "nearest": _nearest("twice"),
    "linear": _resize("twice", mode="linear"),
    "linear, to corners": _resize("half_more", mode="linear", coordinate_transformation_mode="align_corners"),
}
LEFT = {
    "a row": _sum("a", "row"),
    "a number a channel": _sum("a", "channels", kind="Mul"),
    "a constant map": _sum("a", "map"),
    "upper and lower half": _split(2),
    "nearest, unequal": _nearest("thrice_high"),
    "nearest, no whole number": _nearest("half_more"),
    "nearest, from middles": _nearest("twice", "half_pixel", "round_prefer_floor"),
    "nearest, as by default": _resize("twice"),
}


def _model(between: list[NodeProto], channels: int, *, also_given: bool = False) -> onnx.ModelProto:
    """Two convolutions of one image, `between`, and a convolution of what that gives."""
    shapes = [(CHANNELS, 3, 3, 3), (CHANNELS, 3, 3, 3), (2, channels, 1, 1)]
    weights = [
        numpy_helper.from_array(RANDOM.standard_normal(shape).astype(np.float32), f"w{i}")
        for i, shape in enumerate(shapes)
    ]
    nodes = [
        helper.make_node("Conv", ["image", "w0"], ["a"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["image", "w1"], ["b"], name="second", pads=[1, 1, 1, 1]),
        *between,
        helper.make_node("Conv", ["z", "w2"], ["restored"], name="third"),
    ]
    outputs = ["restored", "z"] if also_given else ["restored"]
    graph = helper.make_graph(
        nodes,
        "between",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [*"nchw"]) for name in outputs],
        [*weights, *(numpy_helper.from_array(np.asarray(values), name) for name, values in CONSTANTS.items())],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def _run(model: onnx.ModelProto) -> list[np.ndarray]:
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    image = np.random.default_rng(1).random((1, 3, HEIGHT, WIDTH), np.float32)
    return [np.asarray(given) for given in session.run(None, {"image": image})]


@pytest.mark.parametrize("floating", [frozenset(), frozenset({"first", "second"})], ids=["8 bits", "float"])
@pytest.mark.parametrize("name", [*MOVED, *LEFT])
def test_the_same_is_restored(name: str, floating: frozenset[str]) -> None:
    between = (MOVED | LEFT)[name]
    channels = CHANNELS // 2 if name.startswith("halves") else CHANNELS
    model = _model([onnx.NodeProto.FromString(node.SerializeToString()) for node in between], channels)
    before = _run(model)
    with_channels_last(model, floating)
    np.testing.assert_allclose(_run(model)[0], before[0], atol=1e-5)
    assert any(node.op_type == "Transpose" for node in model.graph.node) == (name in MOVED)


def test_what_the_graph_gives_keeps_its_layout() -> None:
    model = _model(_sum("a", "b"), CHANNELS, also_given=True)
    before = _run(model)
    with_channels_last(model, frozenset())
    for found, wanted in zip(_run(model), before, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
