"""A minimal reader of Core ML's .mlpackage: the MIL program, its weights and its metadata. Needs no coremltools.

MIL is the language of Core ML programs: a flat list of operations on named values, weights in a file beside it. Like
`onnx_file.py` it trusts nothing: every length is held against what contains it, every weight against the bytes that
are there, and the one weight file that is opened lies inside the package. Field numbers are those of MIL.proto.
"""

import struct
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from mimdit.errors import BundleError
from mimdit.wire import fields, varint

__all__ = ["MODEL", "Constant", "MilProgram", "Operation", "Value", "read"]

MODEL = "Data/com.apple.CoreML/model.mlmodel"  # inside the package
_WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"
_WEIGHTS_IN_MODEL = "@model_path/weights/weight.bin"  # the only place that a weight may lie in
_SENTINEL = 0xDEADBEEF  # begins the 64 bytes that describe a weight; the weight follows

# MIL's element types. What is not here (8-bit floats, less than a byte) no precision of ours uses.
_TYPES = {
    **{1: "bool", 10: "float16", 11: "float32", 12: "float64"},
    **{21: "int8", 22: "int16", 23: "int32", 24: "int64", 31: "uint8", 32: "uint16", 33: "uint32", 34: "uint64"},
}
_STRING = 2
# Fields of a TensorValue: elements of fixed width, packed in 'values', by the type that protobuf gives them.
_PACKED = {1: "<f4", 6: "<f8"}
_VARINTS = (2, 3, 5)

Constant = np.ndarray | str
Message = Mapping[int, list[tuple[int, int, int]]]  # field number → (wire type, start or value, end)


@dataclass(frozen=True)
class Value:
    """A name with the type that the program declares for it."""

    name: str
    dtype: str  # as numpy calls it
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Operation:
    """One line of the program. Arguments are names of values or of constants; most have one, `concat` has several."""

    type: str
    arguments: Mapping[str, tuple[str, ...]]
    outputs: tuple[Value, ...]


@dataclass(frozen=True)
class MilProgram:
    """A whole program. `constants` hold the weights and what operations are set by, in the types of the file."""

    inputs: tuple[Value, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, Constant]
    metadata: Mapping[str, str]


def read(package: Path) -> MilProgram:
    """Read a .mlpackage folder. Raises BundleError on anything that is not a plain program of finite weights."""
    try:
        return _Reader(package).program()
    except IndexError:  # a tag or length that the end of the file cuts off
        raise BundleError(f"{package.name}: expected a whole Core ML model, found one that ends early") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{package.name} is not a readable Core ML package: {error}; rebuild the bundle") from None
    except BundleError as error:
        raise BundleError(f"{package.name}: {error}; rebuild the bundle") from None


class _Reader:
    def __init__(self, package: Path):
        self._data = (package / MODEL).read_bytes()
        weights = package / _WEIGHTS
        self._weights = weights.read_bytes() if weights.exists() else b""
        self._constants: dict[str, Constant] = {}

    def program(self) -> MilProgram:
        model = self._message((2, 0, len(self._data)))
        if 502 not in model:
            raise BundleError("expected a Core ML model of the kind 'mlprogram', found another kind")
        functions = self._map(self._message(model[502][0]), 2)
        if set(functions) != {"main"}:
            raise BundleError(f"expected one function called main, found {', '.join(functions) or 'none'}")
        function = self._message(functions["main"])
        block = self._message(self._only(list(self._map(function, 3).values()), "block"))
        operations = tuple(o for field in block[3] if (o := self._operation(self._message(field))) is not None)
        description = self._message(model[2][0])
        metadata = self._message(description[100][0]) if 100 in description else {}
        return MilProgram(
            inputs=tuple(self._value(field) for field in function[1]),
            operations=operations,
            outputs=tuple(self._text(field) for field in block[2]),
            constants=self._constants,
            metadata={key: self._text(field) for key, field in self._map(metadata, 100).items()},
        )

    def _operation(self, operation: Message) -> Operation | None:
        """None for a constant, which is kept by its name; values given in place get a name of their own."""
        outputs = tuple(self._value(field) for field in operation.get(3, []))
        kind = self._text(operation[1][0])
        attributes = self._map(operation, 5)
        if kind == "const":
            self._constants[outputs[0].name] = self._constant(attributes["val"])
            return None
        if 4 in operation:
            raise BundleError(f"expected a flat program, found a block inside the operation {kind:.40}")
        arguments = {
            key: tuple(
                self._argument(binding, f"{outputs[0].name}.{key}.{i}")
                for i, binding in enumerate(self._message(argument)[1])
            )
            for key, argument in self._map(operation, 2).items()
        }
        for key in attributes.keys() - {"name"}:  # compressed weights keep their parts here
            self._constants[name := f"{outputs[0].name}.{key}"] = self._constant(attributes[key])
            arguments[key] = (name,)
        return Operation(kind, arguments, outputs)

    def _argument(self, field: tuple[int, int, int], name: str) -> str:
        binding = self._message(field)
        if 1 in binding:
            return self._text(binding[1][0])
        self._constants[name] = self._constant(binding[2][0])
        return name

    def _value(self, field: tuple[int, int, int]) -> Value:
        named = self._message(field)
        name = self._text(named[1][0])
        kind, shape = self._type(self._message(named[2][0]))
        return Value(name, "str" if kind == _STRING else self._dtype(kind), shape)

    def _constant(self, field: tuple[int, int, int]) -> Constant:
        value = self._message(field)
        kind, shape = self._type(self._message(value[2][0]))
        if 5 in value:
            return self._weight(self._message(value[5][0]), np.dtype(self._dtype(kind)), shape)
        tensor = self._message(self._message(value[3][0])[1][0])
        number, stored = next((n, self._message(f[0])) for n, f in tensor.items())
        if kind == _STRING:
            return self._text(stored[1][0])
        elements = self._elements(number, stored, np.dtype(self._dtype(kind)))
        if elements.size != prod(shape):
            raise BundleError(f"expected {prod(shape)} elements in a constant, found {elements.size}")
        return self._finite(elements.reshape(shape))

    def _elements(self, number: int, stored: Message, dtype: np.dtype) -> np.ndarray:
        if 1 not in stored:  # an empty list
            return np.empty(0, dtype)
        _, start, end = self._only(stored[1], "packed list of elements")
        if number == 7 and (end - start) % dtype.itemsize == 0:
            return np.frombuffer(self._data[start:end], dtype)
        if number in _PACKED and (end - start) % np.dtype(_PACKED[number]).itemsize == 0:
            return np.frombuffer(self._data[start:end], _PACKED[number]).astype(dtype)
        if number not in _VARINTS:
            raise BundleError(f"expected numbers in a constant, found field {number}")
        found = []
        while start < end:
            element, start = varint(self._data, start)
            found.append(element - (1 << 64) if element >> 63 else element)
        return np.array(found, np.int64).astype(dtype)

    def _weight(self, place: Message, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        name, at = self._text(place[1][0]), place[2][0][1] if 2 in place else 0
        if name != _WEIGHTS_IN_MODEL or at + 64 > len(self._weights):
            raise BundleError(f"expected weights inside {_WEIGHTS}, found {name!r:.60} at byte {at}")
        sentinel, _, size, start = struct.unpack_from("<IIQQ", self._weights, at)
        if sentinel != _SENTINEL or size != prod(shape) * dtype.itemsize or start + size > len(self._weights):
            raise BundleError(f"expected {prod(shape) * dtype.itemsize} bytes of weights at byte {at}, found others")
        return self._finite(np.frombuffer(self._weights, dtype, prod(shape), start).reshape(shape))

    def _finite(self, elements: np.ndarray) -> np.ndarray:
        if elements.dtype.kind == "f" and not np.isfinite(elements).all():
            raise BundleError("expected finite weights, found NaN or infinity")
        return elements

    def _type(self, value_type: Message) -> tuple[int, tuple[int, ...]]:
        """(element type, shape) of a tensor type; every dimension must be a constant."""
        if 1 not in value_type:
            raise BundleError("expected tensors only, found a list, tuple, dictionary or state")
        tensor = self._message(value_type[1][0])
        shape = []
        for field in tensor.get(3, []):
            dimension = self._message(field)
            if 1 not in dimension:
                raise BundleError("expected constant shapes, found one that is not known before the run")
            size = self._message(dimension[1][0])
            shape.append(size[1][0][1] if 1 in size else 0)
        return tensor[1][0][1], tuple(shape)

    def _dtype(self, kind: int) -> str:
        if kind not in _TYPES:
            raise BundleError(f"expected numbers of 8 to 64 bits, found element type {kind}")
        return _TYPES[kind]

    def _map(self, message: Message, number: int) -> dict[str, tuple[int, int, int]]:
        """A protobuf map from text to message: its entries."""
        entries = [self._message(field) for field in message.get(number, [])]
        return {self._text(entry[1][0]): entry[2][0] for entry in entries}

    def _message(self, field: tuple[int, int, int]) -> Message:
        """A missing field, asked for by its number, raises IndexError like any other end that comes too early."""
        wire, start, end = field
        if wire != 2:
            raise BundleError(f"expected a message, found wire type {wire}")
        message: defaultdict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for number, *content in fields(self._data, start, end):
            message[number].append((content[0], content[1], content[2]))
        return message

    def _text(self, field: tuple[int, int, int]) -> str:
        if field[0] != 2:
            raise BundleError(f"expected a text, found wire type {field[0]}")
        return self._data[field[1] : field[2]].decode()

    def _only(self, found: list[tuple[int, int, int]], what: str) -> tuple[int, int, int]:
        if len(found) != 1:
            raise BundleError(f"expected one {what}, found {len(found)}")
        return found[0]
