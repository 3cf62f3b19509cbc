"""Directories, the skeleton of TIFF files and EXIF blocks, carried over as they are: kind, count and bytes of an entry.

A library that makes values of them and writes those back turns "ö" into "?" and one kind of number into another.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO, Literal

__all__ = ["Directory", "Entry", "Order", "numbers_entry", "pack", "read", "read_first"]

Order = Literal["<", ">"]
LONG, UNDEFINED, BYTE, SHORT = 4, 7, 1, 3
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_FORMS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I"}
_CHILDREN = (34665, 34853, 40965)  # camera, place, interoperability: entries that lead to directories
_LARGEST, _TOTAL = 2**24, 2**26  # bytes of one entry and of all: damaged counts must not read a file a hundred times


@dataclass(frozen=True)
class Entry:
    """content: count × its kind's size, in the byte order of the whole; `child` is what it leads to."""

    kind: int
    count: int
    content: bytes
    child: "dict[int, Entry] | None" = None

    def numbers(self, order: Order) -> tuple[int, ...]:
        """The values of a kind of whole numbers; none for another."""
        form = _FORMS.get(self.kind)
        return struct.unpack(f"{order}{self.count}{form}", self.content) if form else ()


Directory = dict[int, Entry]


def read_first(file: BinaryIO) -> tuple[Directory, int, Order]:
    """A file's first directory, where the next one is (0: nowhere), the byte order "<" or ">". Raises struct.error."""
    file.seek(0)
    head = file.read(8)
    order: Order = ">" if head[:2] == b"MM" else "<"
    place = struct.unpack_from(order + "I", head, 4)[0]
    directory, following = _read(file, place, order, 0)
    return directory, following, order


def read(file: BinaryIO, place: int, order: Order) -> Directory:
    """The directory at a place. Entries whose bytes are missing or too many are left out. Raises struct.error."""
    return _read(file, place, order, 0)[0]


def _read(file: BinaryIO, place: int, order: Order, depth: int) -> tuple[Directory, int]:
    file.seek(place)
    (count,) = struct.unpack(order + "H", file.read(2))
    table = file.read(12 * count + 4)
    directory: Directory = {}
    total = 0
    for i in range(count):
        tag, kind, length = struct.unpack_from(order + "HHI", table, 12 * i)
        size = _SIZES.get(kind, 0) * length
        total += size
        if not size or size > _LARGEST or total > _TOTAL:
            continue
        content = table[12 * i + 8 : 12 * i + 8 + size]
        if size > 4:
            file.seek(struct.unpack_from(order + "I", table, 12 * i + 8)[0])
            content = file.read(size)
        if len(content) < size:
            continue
        child = None
        if tag in _CHILDREN:
            if depth == 2 or kind not in (LONG, 13):
                continue
            try:
                child = _read(file, struct.unpack(order + "I", content)[0], order, depth + 1)[0]
            except struct.error:
                continue
        directory[tag] = Entry(kind, length, content, child)
    following = table[12 * count :]
    return directory, struct.unpack(order + "I", following)[0] if len(following) == 4 else 0


def pack(directory: Directory, order: Order, start: int) -> bytes:
    """The directory as it stands at `start` in a file or block, all that belongs to it behind it."""
    head, body = struct.pack(order + "H", len(directory)), b""
    behind = start + 2 + 12 * len(directory) + 4
    for tag, entry in sorted(directory.items()):
        value = entry.content.ljust(4, b"\0")
        if entry.child is not None or len(value) > 4:
            place = behind + len(body)
            body += value if entry.child is None else pack(entry.child, order, place)
            body += bytes(len(body) % 2)
            value = struct.pack(order + "I", place)
        head += struct.pack(order + "HHI", tag, entry.kind, entry.count) + value
    return head + bytes(4) + body


def numbers_entry(order: Order, kind: int, *values: int) -> Entry:
    """An entry of whole numbers."""
    return Entry(kind, len(values), struct.pack(f"{order}{len(values)}{_FORMS[kind]}", *values))
