"""ONNX: a quantized file without what no runtime needs."""

from typing import TYPE_CHECKING

import numpy as np

from mimdit.quantize.recipe import LARGE

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["shrink"]


def shrink(model: "ModelProto") -> None:
    """Without shapes between nodes, zeros of symmetric biases, 32 bits of a constant, names of values; in place.

    Large constants beside the weights (the seed noise) are rounded to fp16 values, which are stored in half.
    """
    from onnx import TensorProto, numpy_helper

    del model.graph.value_info[:]
    zeros = {t.name for t in model.graph.initializer if t.data_type == TensorProto.INT32 and t.name.endswith("_point")}
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
    """What is stored keeps its name: `mimdit bisect` crosses two files by names (benchmarks/hybrid.py)."""
    graph = model.graph
    kept = {"", *(value.name for value in [*graph.input, *graph.output, *graph.initializer])}
    numbers: dict[str, str] = {}
    for node in graph.node:
        node.name = ""
        for names in (node.input, node.output):
            names[:] = [name if name in kept else numbers.setdefault(name, f"{len(numbers):x}") for name in names]
