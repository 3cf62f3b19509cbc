"""A minimal reader of ONNX files: which tensors they hold and where the bytes of each lie. Needs no onnx package.

It exists to judge a file before a runtime opens it, so it trusts nothing: every length is held against what
contains it, nesting is bounded, and a file that protobuf readers could take in two ways (a field given twice, a
tensor stored twice or in pieces, old-style groups) is refused. Field numbers are those of onnx.proto.
"""

from dataclasses import dataclass, field

from mimdit.errors import BundleError
from mimdit.wire import fields, varint

__all__ = ["FLOAT_TYPES", "OnnxFile", "Tensor", "parse"]

# Bits an element by TensorProto.DataType. What is not here (strings, complex, 8-bit floats) is refused: no precision
# of ours uses it, and it could not be checked.
_BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 16: 16, 21: 4, 22: 4}
FLOAT_TYPES = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16"}

_MAX_DEPTH = 64  # messages inside messages; a graph in a node in a graph costs three
_MAX_RANK = 16
_MAX_MESSAGES = 2**20  # nodes, attributes, tensors; our largest graphs have some ten thousand

_MODEL, _GRAPH, _NODE, _ATTRIBUTE, _FUNCTION, _SPARSE, _TRAINING, _TENSOR = range(8)
# Which fields of which message lead to tensors. All of them are followed: external data may hide in any.
_CHILDREN = {
    _MODEL: {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION},
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _FUNCTION: {7: _NODE, 11: _ATTRIBUTE},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
    _TRAINING: {1: _GRAPH, 2: _GRAPH},
}
_ONCE = {_MODEL: {7}, _ATTRIBUTE: {5, 6, 22}, _SPARSE: {1, 2}, _TRAINING: {1, 2}}
_METADATA = 14  # of the model: metadata_props
# Of a tensor: where elements may lie (float, int32, string, int64, raw, double, uint64 data), and which wire types
# are read. Unpacked elements, and a segment (3), are refused.
_STORAGE = (4, 5, 6, 7, 9, 10, 11)
_TENSOR_WIRES = {1: (0, 2), 2: (0,), 3: (), 8: (2,), 13: (2,), 14: (0,)} | dict.fromkeys(_STORAGE, (2,))


@dataclass(frozen=True)
class Tensor:
    """Where one tensor's elements lie: `length` bytes at `offset` of `location`, or of the file itself if None.

    `plain` elements have the width of their type, little-endian, and fill `length` exactly; others (only integers)
    are protobuf varints. `location` is what the file says, unchecked: the caller holds it against the bundle.
    """

    name: str
    dims: tuple[int, ...]
    data_type: int
    location: str | None
    offset: int
    length: int
    plain: bool


@dataclass(frozen=True)
class OnnxFile:
    """Every tensor of a file (initializers, constants, those of subgraphs and functions) and the model's metadata."""

    tensors: list[Tensor] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)


def parse(data: bytes) -> OnnxFile:
    """Read a whole .onnx file given as bytes. Raises BundleError on anything that is not plainly sound."""
    found = OnnxFile()
    pending = [(_MODEL, 0, len(data), 0)]
    attributes: set[bytes] = set()
    graphs = messages = 0
    try:
        while pending:
            kind, start, end, depth = pending.pop()
            if kind == _TENSOR:
                found.tensors.append(_tensor(data, start, end))
                continue
            if depth > _MAX_DEPTH:
                raise BundleError(f"expected at most {_MAX_DEPTH} nested messages, found more")
            graphs += kind == _GRAPH
            children, once, seen = _CHILDREN[kind], _ONCE.get(kind, ()), set()
            for number, wire, first, last in fields(data, start, end):
                child = children.get(number)
                if child is not None:
                    if wire != 2:
                        raise BundleError(f"field {number} has wire type {wire}, expected a message")
                    if number in once:
                        _first_time(number, seen)
                    if child == _ATTRIBUTE:
                        # Most attributes (`axis=1`, `group=1`) come hundreds of times: reading equal bytes once
                        # brings a graph of 1,200 nodes from 16 to 8 ms on one core.
                        if data[first:last] in attributes:
                            continue
                        attributes.add(data[first:last])
                    messages += 1
                    if messages > _MAX_MESSAGES:
                        raise BundleError(f"expected at most {_MAX_MESSAGES} nodes and tensors, found more")
                    pending.append((child, first, last, depth + 1))
                elif kind == _MODEL and number == _METADATA and wire == 2:
                    _add_pair(found.metadata, data, first, last)
    except IndexError:  # a tag or length that the end of the file cuts off
        raise BundleError("expected a whole ONNX file, found one that ends early") from None
    if not graphs:
        raise BundleError("expected an ONNX model, found no graph in it")
    return found


def _first_time(number: int, seen: set[int]) -> None:
    if number in seen:
        raise BundleError(f"expected field {number} once, found it twice: readers would disagree on which counts")
    seen.add(number)


def _add_pair(pairs: dict[str, str], data: bytes, start: int, end: int) -> None:
    """Add a StringStringEntryProto; a key that comes twice is refused."""
    pair, seen = {1: "", 2: ""}, set()
    for number, wire, first, last in fields(data, start, end):
        if number in pair and wire == 2:
            _first_time(number, seen)
            try:
                pair[number] = data[first:last].decode()
            except UnicodeDecodeError:
                raise BundleError("expected UTF-8 in a key or value, found other bytes") from None
    if pair[1] in pairs:
        raise BundleError(f"expected the key {pair[1]!r:.60} once, found it twice")
    pairs[pair[1]] = pair[2]


def _tensor(data: bytes, start: int, end: int) -> Tensor:
    """A TensorProto; its one storage must fit its type and hold as many bytes as its dimensions ask for."""
    dims: list[int] = []
    once = {2: 0, 8: 0, 14: 0}  # data_type, name, data_location
    name = ""
    external: dict[str, str] = {}
    stored: list[tuple[int, int, int]] = []  # (field number, start, end)
    seen: set[int] = set()
    for number, wire, first, last in fields(data, start, end):
        if wire not in _TENSOR_WIRES.get(number, (wire,)):
            raise BundleError(f"tensor {name!r:.60}: expected packed elements, found field {number} as type {wire}")
        if number == 1:
            dims += _dimensions(data, wire, first, last)
            if len(dims) > _MAX_RANK:
                raise BundleError(f"tensor {name!r:.60}: expected at most {_MAX_RANK} dimensions, found more")
        elif number in once:
            _first_time(number, seen)
            once[number] = first
            if number == 8:
                name = data[first:last].decode(errors="replace")
        elif number == 13:
            _add_pair(external, data, first, last)
        elif number in _STORAGE:
            stored.append((number, first, last))
    data_type, location = once[2], once[14]
    if data_type not in _BITS:
        raise BundleError(f"tensor {name!r:.60} has element type {data_type}, expected a number type of up to 64 bits")
    size = _bytes(dims, data_type)
    if len(stored) + (location == 1) > 1 or location > 1 or bool(external) != (location == 1):
        raise BundleError(f"tensor {name!r:.60}: expected its elements in one place, found several or a contradiction")
    if location == 1:
        where, offset, length = _external(name, external, size)
        plain = True
    else:
        where = None
        number, offset, stop = stored[0] if stored else (9, 0, 0)
        length = stop - offset
        plain = number == 9 or (number, data_type) in ((4, 1), (10, 11))
        if not plain and (data_type in FLOAT_TYPES or number not in (5, 7, 11)):
            raise BundleError(f"tensor {name!r:.60} lies in field {number}, which is not for its type; use raw_data")
    if plain and length != size:
        raise BundleError(f"tensor {name!r:.60}: expected {size} bytes for dimensions {dims!r:.60}, found {length}")
    return Tensor(name, tuple(dims), data_type, where, offset, length, plain)


def _dimensions(data: bytes, wire: int, first: int, last: int) -> list[int]:
    """One dimension (wire type 0), or a packed list of them."""
    sizes = [first] if wire == 0 else []
    while wire == 2 and first < last and len(sizes) <= _MAX_RANK:
        size, first = varint(data, first)
        sizes.append(size)
        if first > last:
            raise BundleError("expected each number to lie inside its list, found one that does not")
    if any(size >= 1 << 63 for size in sizes):
        raise BundleError("expected dimensions from 0 up, found a negative one")
    return sizes


def _bytes(dims: list[int], data_type: int) -> int:
    elements = 1
    for size in dims:
        elements *= size
    return (elements * _BITS[data_type] + 7) // 8


def _external(name: str, entries: dict[str, str], size: int) -> tuple[str, int, int]:
    """(location, offset, length) of a tensor that lies in another file."""
    unknown = entries.keys() - {"location", "offset", "length"}
    numbers = [entries.get("offset", "0"), entries.get("length", str(size))]
    if unknown or not entries.get("location") or not all(n.isascii() and n.isdigit() and len(n) < 20 for n in numbers):
        raise BundleError(f"tensor {name!r:.60}: expected location, offset and length in bytes, found {entries!r:.120}")
    return entries["location"], int(numbers[0]), int(numbers[1])
