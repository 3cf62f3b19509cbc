"""ONNX: a quantized file without what no runtime needs."""

from typing import TYPE_CHECKING

import numpy as np

from mimdit.quantize.recipe import LARGE

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["shrink"]


def shrink(model: "ModelProto") -> None:
    """Without shapes between nodes, zeros of symmetric numbers, 32 bits of a constant, names of values; in place.

    Large constants beside the weights (the seed noise) are rounded to fp16 values, which are stored in half.
    """
    from onnx import TensorProto, numpy_helper

    del model.graph.value_info[:]
    _share_zeros(model)
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= LARGE:
            half = numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
    _number(model)


def _share_zeros(model: "ModelProto") -> None:
    """Zero points that are zero: those of biases go, equal ones of weights are one.

    Not gone as well: without them ONNX Runtime does not see that a linear layer has 8 bits.
    """
    from onnx import TensorProto, numpy_helper

    first: dict[tuple[int, ...], str] = {}
    shared: dict[str, str | None] = {}  # what is read instead
    for tensor in list(model.graph.initializer):
        if not tensor.name.endswith("_point") or numpy_helper.to_array(tensor).any():
            continue
        if tensor.data_type == TensorProto.INT32:
            instead = None
        elif tensor.data_type == TensorProto.INT8:
            instead = first.setdefault(tuple(tensor.dims), tensor.name)
        else:
            continue
        shared[tensor.name] = instead
        if instead != tensor.name:
            model.graph.initializer.remove(tensor)
    for node in model.graph.node:
        node.input[:] = [kept for name in node.input if (kept := shared.get(name, name)) is not None]


def _number(model: "ModelProto") -> None:
    """What is stored keeps its name: `mimdit bisect` crosses two files by names (benchmarks/hybrid.py)."""
    graph = model.graph
    kept = {"", *(value.name for value in [*graph.input, *graph.output, *graph.initializer])}
    numbers: dict[str, str] = {}
    for node in graph.node:
        node.name = ""
        for names in (node.input, node.output):
            names[:] = [name if name in kept else numbers.setdefault(name, f"{len(numbers):x}") for name in names]
