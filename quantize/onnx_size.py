"""ONNX: a quantized file without what no runtime needs. Names and constants were two thirds of it."""

from typing import TYPE_CHECKING

import numpy as np

from mimdit.quantize.recipe import LARGE

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["shrink"]

_SCALE, _ZERO = "_scale", "_zero_point"  # how the names end of what is stored beside each weight


def shrink(model: "ModelProto") -> None:
    """Without shapes between nodes, zeros of symmetric biases, 32 bits of a constant, long names; in place.

    Large constants beside the weights (the seed noise) are rounded to fp16 values, which are stored in half.
    """
    from onnx import TensorProto, numpy_helper

    del model.graph.value_info[:]
    zeros = {t.name for t in model.graph.initializer if t.data_type == TensorProto.INT32 and t.name.endswith(_ZERO)}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[-1] in zeros:
            del node.input[-1]
    for tensor in list(model.graph.initializer):
        if tensor.name in zeros:
            model.graph.initializer.remove(tensor)
        elif tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= LARGE:
            half = numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
    _number(model)


def _number(model: "ModelProto") -> None:
    """Values are called by numbers, but for inputs, outputs and weights, whose names say which layer they are of.

    Scales still say that they are scales: `mimdit bisect` compares those of two files (benchmarks/factors.py).
    """
    graph = model.graph
    kept = {"", *(value.name for value in [*graph.input, *graph.output])}
    kept |= {t.name for t in graph.initializer if t.name.startswith("model.") and not t.name.endswith((_SCALE, _ZERO))}
    numbers: dict[str, str] = {}

    def short(name: str) -> str:
        end = _SCALE if name.endswith(_SCALE) else ""
        return name if name in kept else numbers.setdefault(name, f"{len(numbers):x}{end}")

    for node in graph.node:
        node.name = ""
        node.input[:] = map(short, node.input)
        node.output[:] = map(short, node.output)
    for tensor in graph.initializer:
        tensor.name = short(tensor.name)
