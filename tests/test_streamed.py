"""8-bit weights from file to file: right in every channel, half of bf16, in the memory of some rows, or not at all."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from mimdit.cli import _app
from mimdit.errors import CheckpointError
from mimdit.quantize import streamed
from mimdit.quantize.streamed import quantize_weights

SIDE = 512
BITS = {"fp32": TensorProto.FLOAT, "fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}


def weight(shape: tuple[int, ...], stored: str, seed: int = 0) -> tuple[np.ndarray, bytes]:
    """Values whose channels differ in size, as f32 and as the bytes that are stored."""
    random = np.random.default_rng(seed)
    values = (
        random.standard_normal(shape) * np.exp(random.uniform(-6, 2, (shape[0], *[1] * (len(shape) - 1))))
    ).astype(np.float32)
    values *= np.exp(random.uniform(-3, 3, shape[1])).astype(np.float32).reshape(1, -1, *[1] * (len(shape) - 2))
    if stored == "bf16":
        bits = (values.view(np.uint32) >> 16).astype(np.uint16)
        return (bits.astype(np.uint32) << 16).view(np.float32), bits.tobytes()
    kept = values.astype(np.float16 if stored == "fp16" else np.float32)
    return kept.astype(np.float32), kept.tobytes()


def model(path: Path, layers: list[dict[str, Any]], stored: str, width: int) -> list[np.ndarray]:
    """A chain of layers whose weights lie beside the file, each behind a Cast to fp32; returns their values."""
    nodes, tensors, values, current = [], [], [], "x"
    with open(path.with_name("weights.data"), "wb") as file:
        for i, layer in enumerate(layers):
            value, content = weight(layer["shape"], stored, i)
            tensor = TensorProto(
                name=f"w{i}", data_type=BITS[stored], dims=layer["shape"], data_location=TensorProto.EXTERNAL
            )
            place = {"location": file.name.rsplit("/")[-1], "offset": file.tell(), "length": len(content)}
            for key, entry in place.items():
                tensor.external_data.add(key=key, value=str(entry))
            file.write(content)
            tensors.append(tensor)
            values.append(value)
            nodes.append(helper.make_node("Cast", [f"w{i}"], [f"wide{i}"], to=TensorProto.FLOAT))
            read = f"wide{i}"
            if layer.get("turned"):
                nodes.append(helper.make_node("Transpose", [read], [f"turned{i}"], perm=[1, 0]))
                read = f"turned{i}"
            nodes.append(helper.make_node(layer["op"], [current, read], [f"y{i}"], **layer.get("attributes", {})))
            current = f"y{i}"
    shape = ["rows", width, 5, 5] if layers[0]["op"] == "Conv" else ["rows", width]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info(current, TensorProto.FLOAT, [None] * len(shape))]
    graph = helper.make_graph(nodes, "chain", inputs, outputs, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return values


def run(path: Path, x: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]  # pyright: ignore


LAYERS = {
    "MatMul": ({"op": "MatMul", "shape": (48, 32)}, 1),
    "MatMul, turned": ({"op": "MatMul", "shape": (32, 48), "turned": True}, 0),
    "Gemm": ({"op": "Gemm", "shape": (48, 32)}, 1),
    "Gemm, transB": ({"op": "Gemm", "shape": (32, 48), "attributes": {"transB": 1}}, 0),
    "Conv": ({"op": "Conv", "shape": (32, 48, 3, 3), "attributes": {"kernel_shape": [3, 3]}}, 0),
}


@pytest.mark.parametrize("stored", BITS)
@pytest.mark.parametrize("layer", LAYERS)
def test_every_channel_has_its_scale(layer: str, stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "_ELEMENTS", 5 * 48 * 9)  # five rows or more: the last block is a short one
    described, axis = LAYERS[layer]
    (values,) = model(tmp_path / "m.onnx", [described], stored, 48)
    quantize_weights(tmp_path / "m.onnx", tmp_path / "out")

    result = onnx.load(tmp_path / "out" / "m.onnx")
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in result.graph.initializer}
    others = tuple(i for i in range(values.ndim) if i != axis)
    step = np.abs(values).max(others, keepdims=True) / 127
    widened = tensors["w0_quantized"] * step
    np.testing.assert_allclose(tensors["w0_scale"], step.ravel(), rtol=1e-6)
    assert tensors["w0_quantized"].dtype == np.int8
    assert (np.abs(widened - values) <= 0.5001 * step).all()

    x = np.random.default_rng(9).standard_normal((2, 48, 5, 5) if layer == "Conv" else (2, 48)).astype(np.float32)
    exact, small = run(tmp_path / "m.onnx", x), run(tmp_path / "out" / "m.onnx", x)
    assert np.abs(small - exact).max() < 0.05 * np.abs(exact).max()
    assert (small != exact).any()


def test_a_bf16_file_is_halved_in_less_memory_than_one_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "_ELEMENTS", 2**13)
    model(tmp_path / "m.onnx", [{"op": "MatMul", "shape": (SIDE, SIDE)}] * 6, "bf16", SIDE)
    quantize_weights(tmp_path / "m.onnx", tmp_path / "first")  # whatever is imported is imported here
    tracemalloc.start()
    sizes = quantize_weights(tmp_path / "m.onnx", tmp_path / "out")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * SIDE * SIDE
    assert sizes.before == sum((tmp_path / name).stat().st_size for name in ("m.onnx", "weights.data"))
    assert sizes.after == sum(file.stat().st_size for file in (tmp_path / "out").iterdir())
    assert abs(sizes.after / sizes.before - 0.5) < 0.02 * 0.5


def test_a_weight_inside_the_file_is_widened_to_its_own_type(tmp_path: Path) -> None:
    values, _ = weight((48, 32), "fp16")
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT16, ["rows", size])
        for name, size in (("x", 48), ("y", 32))
    )
    tensor = numpy_helper.from_array(values.astype(np.float16), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "one", [x], [y], [tensor])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), tmp_path / "m.onnx")
    quantize_weights(tmp_path / "m.onnx", tmp_path / "out")
    scale = next(t for t in onnx.load(tmp_path / "out" / "m.onnx").graph.initializer if t.name == "w_scale")
    assert scale.data_type == TensorProto.FLOAT16
    ones = np.eye(48, dtype=np.float16)
    widened = run(tmp_path / "out" / "m.onnx", ones).astype(np.float32)
    assert (np.abs(widened - values) <= 0.6 * np.abs(values).max(0) / 127).all()


def test_what_is_no_weight_of_a_layer_is_copied(tmp_path: Path) -> None:
    model(tmp_path / "m.onnx", [{"op": "MatMul", "shape": (8, 8)}, {"op": "Add", "shape": (1, 8)}], "fp16", 8)
    quantize_weights(tmp_path / "m.onnx", tmp_path / "out")
    before, after = (
        {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
        for path in (tmp_path / "m.onnx", tmp_path / "out" / "m.onnx")
    )
    assert after.keys() == {"w0_quantized", "w0_scale", "w1"}
    assert after["w1"].dtype == np.float16
    assert np.array_equal(after["w1"], before["w1"])


def _nan(folder: Path) -> None:
    path = folder / "weights.data"
    path.write_bytes(path.read_bytes()[:-2] + np.array([0x7FC0], "<u2").tobytes())


def _cut(folder: Path) -> None:
    path = folder / "weights.data"
    path.write_bytes(path.read_bytes()[:-2])


def _elsewhere(folder: Path) -> None:
    path = folder / "m.onnx"
    path.write_bytes(path.read_bytes().replace(b"weights.data", b"../ghts.data"))


def _no_layer(folder: Path) -> None:
    model(folder / "m.onnx", [{"op": "Add", "shape": (1, 8)}], "bf16", 8)


def _no_model(folder: Path) -> None:
    (folder / "m.onnx").write_bytes(b"no")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_nan, "w1 has numbers that are not finite"),
        (_cut, "has 126 bytes for w1, expected 128"),
        (_elsewhere, "no ONNX model that can be read"),
        (_no_layer, "has no MatMul, Gemm or Conv"),
        (_no_model, "no ONNX model that can be read"),
    ],
)
def test_what_is_unsound_is_refused_and_leaves_nothing(spoil: Any, says: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    model(source / "m.onnx", [{"op": "MatMul", "shape": (8, 8)}] * 2, "bf16", 8)
    spoil(source)
    with pytest.raises(CheckpointError, match=says) as error:
        quantize_weights(source / "m.onnx", tmp_path / "out")
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_the_command_replaces_nothing(tmp_path: Path) -> None:
    model(tmp_path / "m.onnx", [{"op": "MatMul", "shape": (8, 8)}], "bf16", 8)
    arguments = ["quantize", "weights", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "out")]
    done, again = (CliRunner().invoke(_app, arguments) for _ in range(2))
    assert done.exit_code == 0, done.output
    assert (again.exit_code, "exists: name another --out" in again.output) == (2, True)
