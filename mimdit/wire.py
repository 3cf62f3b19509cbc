"""The wire format of protobuf, which .onnx and .mlmodel files are written in: fields and numbers, nothing trusted.

`onnx_file.py` and `mil_file.py` know what the fields mean. Reading past the end of the data raises IndexError, which
they turn into their own words.
"""

from collections.abc import Iterator

from mimdit.errors import BundleError

__all__ = ["fields", "varint"]


def fields(data: bytes, position: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of the message in data[position:end]: (number, 0, value, 0) or (number, wire type, start, end)."""
    while position < end:
        tag = data[position]
        position += 1
        if tag > 127:  # not one byte, as nearly all are: the call would cost more than the reading
            tag, position = varint(data, position - 1)
        number, wire = tag >> 3, tag & 7
        start, value = position, 0
        if wire == 2:
            size = data[position]
            start += 1
            if size > 127:
                size, start = varint(data, position)
            position = start + size
        elif wire == 0:
            value, position = varint(data, position)
        elif wire == 5:
            position += 4
        elif wire == 1:
            position += 8
        else:
            raise BundleError(f"expected a model file, found wire type {wire} in field {number}")
        if position > end or not number:
            raise BundleError("expected each part of a model file to lie inside its whole, found one that does not")
        if wire == 0:
            yield number, 0, value, 0
        else:
            yield number, wire, start, position


def varint(data: bytes, position: int) -> tuple[int, int]:
    """An unsigned number of at most 64 bits, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            if value >= 1 << 64:
                break
            return value, position
    raise BundleError("expected numbers of at most 64 bits, found a longer one")
