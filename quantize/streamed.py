"""8-bit weights for ONNX files of any size: from file to file, some rows of one weight at a time, never the model.

For models that memory is short for. In front of each layer stands a DequantizeLinear, which widens the weight when the
layer is computed. The w8 of bundles (`onnx.py`) is for variants of a few MB: there runtimes widen weights once, while
loading, and a tile costs no time for it.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from mimdit.errors import CheckpointError
from mimdit.files import write_folder
from mimdit.quantize.weights import in_steps, largest_of, steps_of

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

__all__ = ["Sizes", "quantize_weights"]

_ELEMENTS = 2**20  # of a weight that are held in memory at once, as fp32; at least a row
_FLOATS = {1: 13, 10: 19, 16: 19}  # fp32, fp16, bf16: the opset from which DequantizeLinear makes them


class Sizes(NamedTuple):
    """Bytes of a model with its weights, before and after."""

    before: int
    after: int


class _Layers(NamedTuple):
    """What reads a weight."""

    axis: int  # of the output channels in the weight
    type: int  # of the numbers that the weight is widened to


def quantize_weights(source: Path, out: Path) -> Sizes:
    """Write the folder `out` with `source` (.onnx), every weight of a MatMul, Gemm or Conv as i8 and a scale a channel.

    Weights may be fp32, fp16 or bf16, in the file or beside it as external data; all else is copied as it is. Memory:
    the graph, what lies inside it, and some MB. Raises CheckpointError for a file that is no sound ONNX model, has a
    weight that is not finite or no such layer; MimditError where `out` exists. Then nothing is written.
    """
    import onnx

    if out.exists():
        raise CheckpointError(f"{out} exists: name another --out")
    try:
        onnx.checker.check_model(str(source))  # also that external data lies in its folder
        model = onnx.load(source, load_external_data=False)
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise CheckpointError(f"{source} is no ONNX model that can be read: {' '.join(str(error).split())}") from None
    layers = _layers(model, source)
    beside = {entry.value for t in model.graph.initializer for entry in t.external_data if entry.key == "location"}
    before = sum((source.parent / name).stat().st_size for name in (source.name, *beside))

    def fill(folder: Path) -> None:
        from mimdit.export.shared_weights import NAME

        with open(folder / NAME, "wb") as weights:
            _move(model.graph, layers, source.parent, weights)
        onnx.save(model, folder / source.name)
        try:
            onnx.checker.check_model(str(folder / source.name))
        except onnx.checker.ValidationError as error:  # a weight in a subgraph lies in a file that was not copied
            raise CheckpointError(f"{source} cannot be quantized: {' '.join(str(error).split())}") from None

    write_folder(out, fill)
    return Sizes(before, sum(file.stat().st_size for file in out.iterdir()))


def _layers(model: "ModelProto", source: Path) -> dict[str, _Layers]:
    """The weights of layers by name; between them and their layer may stand casts and transpositions."""
    graph = model.graph
    opset = next(known.version for known in model.opset_import if known.domain in ("", "ai.onnx"))
    constant = {t.name: t for t in graph.initializer} | dict.fromkeys(value.name for value in graph.input)
    made = {output: node for node in graph.node for output in node.output}
    found: dict[str, _Layers] = {}
    for node in graph.node:
        if node.op_type not in ("MatMul", "Gemm", "Conv"):
            continue
        name, turns = node.input[1], []
        while name in made and made[name].op_type in ("Cast", "Transpose"):
            if made[name].op_type == "Transpose":
                turns.append(made[name])
            name = made[name].input[0]
        weight = constant.get(name)
        if weight is None or weight.data_type not in _FLOATS or len(weight.dims) < 2:
            continue
        rank = len(weight.dims)
        axis = 0 if node.op_type == "Conv" or _attribute(node, "transB", 0) else rank - 1
        for turn in turns:
            axis = _attribute(turn, "perm", list(range(rank))[::-1])[axis]
        found[name] = _Layers(axis, _type(graph, weight))
    if not found:
        raise CheckpointError(f"{source} has no MatMul, Gemm or Conv with a constant weight in floats")
    needed = max(_FLOATS[layers.type] for layers in found.values())
    if opset < needed:
        raise CheckpointError(f"{source} is of opset {opset}, its 8-bit weights need {needed}: export it with that")
    return found


def _type(graph: "GraphProto", weight: "TensorProto") -> int:
    """What a weight is widened to: its own type, or the one that all its readers cast it to.

    The casts then have nothing to do and are dropped by runtimes. ONNX Runtime's CPU has no DequantizeLinear to bf16.
    """
    readers = [node for node in graph.node if weight.name in node.input]
    types = {_attribute(node, "to", 0) if node.op_type == "Cast" else weight.data_type for node in readers}
    return types.pop() if len(types) == 1 and types <= _FLOATS.keys() else weight.data_type


def _attribute(node: "NodeProto", name: str, default: Any) -> Any:
    from onnx import helper

    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def _move(graph: "GraphProto", layers: dict[str, _Layers], folder: Path, weights: BinaryIO) -> None:
    """Weights of layers in 8 bits into the new file, and what else lay beside the graph; it points there, in place."""
    from onnx import TensorProto, helper, numpy_helper

    tensors, widened = list(graph.initializer), []
    del graph.initializer[:]
    for tensor in tensors:
        if tensor.name in layers:
            axis, kind = layers[tensor.name]
            scale = _scale(tensor, axis, helper.tensor_dtype_to_np_dtype(kind), folder)
            names = [f"{tensor.name}_quantized", f"{tensor.name}_scale"]
            small = (in_steps(block, _of_rows(scale, rows, axis)).tobytes() for rows, block in _blocks(tensor, folder))
            graph.initializer.append(_beside(weights, names[0], TensorProto.INT8, tensor.dims, small))
            graph.initializer.append(numpy_helper.from_array(scale.reshape(-1), names[1]))
            widened.append(helper.make_node("DequantizeLinear", names, [tensor.name], axis=axis))
        elif tensor.data_location == TensorProto.EXTERNAL:
            parts = _bytes(tensor, folder)
            graph.initializer.append(_beside(weights, tensor.name, tensor.data_type, tensor.dims, parts))
        else:
            graph.initializer.append(tensor)
    for node in reversed(widened):
        graph.node.insert(0, node)
    for value in [value for value in graph.value_info if value.name in layers]:  # may say another type
        graph.value_info.remove(value)


def _scale(tensor: "TensorProto", axis: int, dtype: np.dtype, folder: Path) -> np.ndarray:
    """The scales of a weight, all axes but `axis` 1; raises CheckpointError where it is not finite."""
    largest = np.zeros([size if i == axis else 1 for i, size in enumerate(tensor.dims)], np.float32)
    for rows, block in _blocks(tensor, folder):
        if not np.isfinite(block).all():
            raise CheckpointError(f"the weight {tensor.name} has numbers that are not finite: train or export it again")
        part = _of_rows(largest, rows, axis)
        np.maximum(part, largest_of(block, axis), out=part)
    return steps_of(largest, dtype)


def _of_rows(scale: np.ndarray, rows: slice, axis: int) -> np.ndarray:
    return scale[rows] if axis == 0 else scale


def _blocks(tensor: "TensorProto", folder: Path) -> Iterator[tuple[slice, np.ndarray]]:
    """Some rows of a weight at a time, and which: f32, exact from fp16 and bf16."""
    from onnx import TensorProto, helper, numpy_helper

    width = prod(tensor.dims[1:])
    count = max(1, _ELEMENTS // max(1, width))
    inside = None if tensor.data_location == TensorProto.EXTERNAL else numpy_helper.to_array(tensor)
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    for first in range(0, tensor.dims[0], count):
        rows = slice(first, min(first + count, tensor.dims[0]))
        if inside is None:
            path, offset, _ = _place(tensor, folder, width * tensor.dims[0] * dtype.itemsize)
            offset += first * width * dtype.itemsize
            block = np.fromfile(path, dtype, (rows.stop - first) * width, offset=offset).reshape(-1, *tensor.dims[1:])
        else:
            block = inside[rows]
        yield rows, block.astype(np.float32)


def _bytes(tensor: "TensorProto", folder: Path) -> Iterator[bytes]:
    """The bytes of a tensor in another file, whatever they stand for, some at a time."""
    path, offset, left = _place(tensor, folder)
    with open(path, "rb") as file:
        file.seek(offset)
        while part := file.read(min(left, _ELEMENTS)):
            left -= len(part)
            yield part


def _place(tensor: "TensorProto", folder: Path, expected: int | None = None) -> tuple[Path, int, int]:
    """In which file, from which byte and how many; raises CheckpointError where there are not as many as expected."""
    from onnx.external_data_helper import ExternalDataInfo

    info = ExternalDataInfo(tensor)
    path, offset = folder / info.location, info.offset or 0
    left = path.stat().st_size - offset
    length = left if info.length is None else info.length
    if length > left or expected not in (None, length):
        raise CheckpointError(
            f"{path} has {min(length, left)} bytes for {tensor.name}, expected {expected or length}: fetch it again"
        )
    return path, offset, length


def _beside(weights: BinaryIO, name: str, kind: int, dims: Sequence[int], content: Iterable[bytes]) -> "TensorProto":
    """A tensor whose bytes are appended to the file, as they come."""
    from mimdit.export.shared_weights import ALIGNMENT, reference

    weights.write(b"\0" * (-weights.tell() % ALIGNMENT))
    offset = weights.tell()
    for part in content:
        weights.write(part)
    return reference(name, kind, dims, offset, weights.tell() - offset)
