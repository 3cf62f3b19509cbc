"""EXIF blocks, changed where they stand: only the bytes that must change do.

Writing a block anew would move what its maker's notes point at, and break them. Offsets are checked before they are
followed; what cannot be followed is left as it is.
"""

import io
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from mimdit.image import ifd

__all__ = ["MARKER", "block_of", "directory_of", "is_adobe_rgb", "orientation", "refresh_thumbnail", "reset"]

MARKER = b"Exif\0\0"
_ORIENTATION, _EXIF_IFD, _INTEROP_IFD = 0x0112, 0x8769, 0xA005
_WIDTH, _HEIGHT, _INTEROP_INDEX = 0xA002, 0xA003, 0x0001
_THUMBNAIL, _THUMBNAIL_LENGTH = 0x0201, 0x0202
_SHORT, _LONG = 3, 4


@dataclass(frozen=True)
class _Entry:
    tag: int
    kind: int
    place: int  # where the value, or its offset, stands


class _Block:
    """A TIFF structure in a bytearray, without the marker. Raises struct.error where an offset leads out of it."""

    def __init__(self, block: bytes):
        self.content = bytearray(block.removeprefix(MARKER))
        self.order = {b"II": "<", b"MM": ">"}[bytes(self.content[:2])]

    def read(self, form: str, place: int) -> int:
        return struct.unpack_from(self.order + form, self.content, place)[0]

    def write(self, form: str, place: int, value: int) -> None:
        struct.pack_into(self.order + form, self.content, place, value)

    def entries(self, start: int) -> Iterator[_Entry]:
        for i in range(self.read("H", start)):
            place = start + 2 + 12 * i
            yield _Entry(self.read("H", place), self.read("H", place + 2), place + 8)

    def find(self, start: int, tag: int) -> _Entry | None:
        return next((entry for entry in self.entries(start) if entry.tag == tag), None)

    def number(self, entry: _Entry | None) -> int | None:
        if entry is None or entry.kind not in (_SHORT, _LONG):
            return None
        return self.read("H" if entry.kind == _SHORT else "I", entry.place)

    def set_number(self, entry: _Entry | None, value: int) -> None:
        if entry is not None and entry.kind in (_SHORT, _LONG):
            self.write("H" if entry.kind == _SHORT else "I", entry.place, value)

    def child(self, start: int, tag: int) -> int | None:
        return self.number(self.find(start, tag))

    def following(self, start: int) -> int:
        """Where the offset of the next directory stands."""
        return start + 2 + 12 * self.read("H", start)

    @property
    def first(self) -> int:
        return self.read("I", 4)

    @property
    def whole(self) -> bytes:
        return MARKER + bytes(self.content)


_DAMAGED = (struct.error, KeyError, IndexError)


def block_of(directory: ifd.Directory, order: ifd.Order) -> bytes | None:
    """A block that holds a directory; None for an empty one."""
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return MARKER + start + ifd.pack(directory, order, 8) if directory else None


def directory_of(block: bytes) -> tuple[ifd.Directory, ifd.Order]:
    """A block's directory, thumbnail left out, and its byte order; an empty one where it is damaged."""
    try:
        directory, _, order = ifd.read_first(io.BytesIO(block.removeprefix(MARKER)))
        return directory, order
    except struct.error:
        return {}, "<"


def orientation(block: bytes) -> int:
    """1 to 8; 1 where it is missing or senseless."""
    try:
        tiff = _Block(block)
        value = tiff.child(tiff.first, _ORIENTATION)
    except _DAMAGED:
        return 1
    return value if value is not None and 1 <= value <= 8 else 1


def is_adobe_rgb(block: bytes) -> bool:
    """Whether a camera says Adobe RGB by its interoperability index R03, its only word where it embeds no profile."""
    try:
        tiff = _Block(block)
        exif = tiff.child(tiff.first, _EXIF_IFD)
        interop = tiff.child(exif, _INTEROP_IFD) if exif else None
        index = tiff.find(interop, _INTEROP_INDEX) if interop else None
        return index is not None and tiff.content[index.place : index.place + 3] == b"R03"
    except _DAMAGED:
        return False


def reset(block: bytes, width: int, height: int) -> bytes:
    """The block of an upright photo of this size: orientation 1, width and height where it states them."""
    try:
        tiff = _Block(block)
    except _DAMAGED:
        return block
    with suppress(*_DAMAGED):  # as far as it can be followed
        tiff.set_number(tiff.find(tiff.first, _ORIENTATION), 1)
        if following := tiff.read("I", tiff.following(tiff.first)):
            tiff.set_number(tiff.find(following, _ORIENTATION), 1)
        if exif := tiff.child(tiff.first, _EXIF_IFD):
            tiff.set_number(tiff.find(exif, _WIDTH), width)
            tiff.set_number(tiff.find(exif, _HEIGHT), height)
    return tiff.whole


def refresh_thumbnail(block: bytes, jpeg: bytes) -> bytes:
    """The block with `jpeg` for its thumbnail; as it is where it has none. A thumbnail of another kind is taken out."""
    try:
        tiff = _Block(block)
        pointer = tiff.following(tiff.first)
        second = tiff.read("I", pointer)
        if not second:
            return block
        place, length = tiff.find(second, _THUMBNAIL), tiff.find(second, _THUMBNAIL_LENGTH)
        start, room = tiff.number(place), tiff.number(length)
        if start is None or room is None or start + room > len(tiff.content) or room == 0:
            tiff.write("I", pointer, 0)
            return tiff.whole
        tiff.content[start : start + room] = bytes(room)  # nothing of the old one stays
        if len(jpeg) > room:
            tiff.content += bytes(len(tiff.content) % 2)
            start = len(tiff.content)
            tiff.content += jpeg
        else:
            tiff.content[start : start + len(jpeg)] = jpeg
        tiff.set_number(place, start)
        tiff.set_number(length, len(jpeg))
        return tiff.whole
    except _DAMAGED:
        return block
