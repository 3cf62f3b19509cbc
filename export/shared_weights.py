"""One weight file for all ONNX files of a bundle: equal tensors are stored once, and in fp16 where that is exact.

ONNX calls this external data. A tensor whose fp32 values are all fp16 values (`round_to_half` made them so) is stored
in half the bytes, with a Cast in front that every runtime folds while loading.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

NAME = "weights.bin"
ALIGNMENT = 64  # bytes; runtimes map the file and want aligned tensors
SMALLEST = 1024  # bytes; smaller tensors stay in the .onnx file, where shapes and scalars can be read at once


class SharedWeights:
    """Moves initializers out of models into `folder/weights.bin`, a tensor at a time."""

    def __init__(self, folder: Path):
        self._file = (folder / NAME).open("wb")
        self._offsets: dict[str, int] = {}

    def take_from(self, model: onnx.ModelProto) -> None:
        """Replace the model's large initializers by references into the shared file, in place."""
        casts = []
        for tensor in model.graph.initializer:
            values = numpy_helper.to_array(tensor)
            if values.nbytes < SMALLEST:
                continue
            name = tensor.name
            if values.dtype == np.float32 and _exact_in_half(values):
                values = values.astype(np.float16)
                casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
                name += ".half"
            tensor.CopyFrom(self._reference(name, values))
        for cast in reversed(casts):
            model.graph.node.insert(0, cast)

    def _reference(self, name: str, values: np.ndarray) -> TensorProto:
        data = np.ascontiguousarray(values).tobytes()
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self._offsets:
            self._file.write(b"\0" * (-self._file.tell() % ALIGNMENT))
            self._offsets[digest] = self._file.tell()
            self._file.write(data)
        kind = helper.np_dtype_to_tensor_dtype(values.dtype)
        return reference(name, kind, values.shape, self._offsets[digest], len(data))

    def close(self) -> None:
        self._file.close()


def reference(name: str, kind: int, dims: Sequence[int], offset: int, length: int) -> TensorProto:
    """A tensor of ONNX's type number `kind` whose bytes lie in the weight file beside the model."""
    tensor = TensorProto(name=name, data_type=kind, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, value in {"location": NAME, "offset": offset, "length": length}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def _exact_in_half(values: np.ndarray) -> bool:
    with np.errstate(over="ignore"):
        return bool((values.astype(np.float16).astype(np.float32) == values).all())
