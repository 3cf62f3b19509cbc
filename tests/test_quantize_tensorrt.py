"""TensorRT in 8 bits: a file as its parser takes it, which ONNX Runtime can check, and an engine of it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from mimdit.quantize.recipe import Recipe, by
from mimdit.quantize.tensorrt import CONVERTER
from mimdit.runtimes.onnx import OnnxRuntime

from .tiny import TINY_TILE, TinyGraph

pytest.importorskip("tensorrt_rtx")


def test_the_engine_is_of_a_symmetric_file(photo_folder: Path, tmp_path: Path) -> None:
    graph = TinyGraph()
    converter = by(CONVERTER.on("sm_89"), Recipe(photos=photo_folder, tiles=8))
    converter.convert([graph], "w8a8", tmp_path, "0123456789abcdef")  # pyright: ignore[reportArgumentType]
    model = onnx.load(tmp_path / f"{graph.name}.onnx")
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    pairs = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len([node for node in pairs if node.op_type == "QuantizeLinear"]) >= 2
    assert all(not numpy_helper.to_array(constants[node.input[2]]).any() for node in pairs if len(node.input) == 3)
    assert {t.data_type for t in constants.values() if "quantized" in t.name} == {TensorProto.INT8}  # no 32-bit biases
    made = {name: node.op_type for node in model.graph.node for name in node.output}
    assert [made[node.input[0]] for node in model.graph.node if node.op_type == "Relu"] == ["Conv"], "it is fused so"
    assert set(made) - {name for node in model.graph.node for name in node.input} == {"restored"}, "nothing is unread"
    assert b"0123456789abcdef" in (tmp_path / f"{graph.name}.engine").read_bytes()
    image, photo = graph.example_inputs()
    restored = OnnxRuntime(tmp_path / f"{graph.name}.onnx", TINY_TILE, 1).run(image.numpy(), photo.numpy())
    assert 0 < np.abs(restored - graph(image, photo).numpy()).mean() < 0.005
