"""TIFF files of 8, 16 bits and float32: strips, deflated, with all metadata. Pillow itself writes no deep RGB."""

import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from mimdit.image import tiff

if TYPE_CHECKING:
    from PIL.Image import Exif
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

__all__ = ["LAYOUT", "write"]

_EXIF, _GPS, _INTEROP, _PHOTOSHOP, _ORIENTATION = 34665, 34853, 40965, 34377, 274
# Tags that say how the pixels of a file are stored, or that are kept apart: not what was photographed.
LAYOUT = {254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 330}
LAYOUT |= {338, 339, 347, 513, 514, 529, 530, 531, 532, tiff.ICC, tiff.XMP, tiff.IPTC, _PHOTOSHOP, _ORIENTATION}
LAYOUT |= {33421, 33422, *range(50706, 52600)}  # a sensor's mosaic and DNG: with these a result would pass for RAW
_ROWS = 64  # a strip
_LONG, _UNDEFINED, _BYTE = 4, 7, 1


def write(
    file: BinaryIO,
    rows: Callable[[slice], np.ndarray],
    shape: tuple[int, int, int],
    dtype: np.dtype,
    *,
    icc: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    iptc: bytes | None = None,
) -> None:
    """rows(place) → [n,W,C] of those rows, C 1 to 4, an even one with alpha; shape: (H, W, C). `file` can seek."""
    height, width, channels = shape
    colours, strips = channels - (channels + 1) % 2, -(-height // _ROWS)
    ifd = _directory(exif)
    ifd[tiff.WIDTH], ifd[tiff.HEIGHT], ifd[tiff.SAMPLES] = width, height, channels
    ifd[tiff.BITS] = (dtype.itemsize * 8,) * channels
    ifd[tiff.COMPRESSION], ifd[tiff.PLANAR], ifd[tiff.STRIP_ROWS] = tiff.DEFLATE, 1, _ROWS
    ifd[tiff.PHOTOMETRIC] = 2 if colours == 3 else 1
    ifd[tiff.FORMAT] = (3 if dtype.kind == "f" else 1,) * channels
    if dtype.kind != "f":
        ifd[tiff.PREDICTOR] = 2
    if channels > colours:
        ifd[tiff.EXTRA] = 2
    for tag, content, kind in ((tiff.ICC, icc, _UNDEFINED), (tiff.XMP, xmp, _BYTE), (tiff.IPTC, iptc, _UNDEFINED)):
        if content is not None:
            ifd.tagtype[tag] = kind
            ifd[tag] = content
    # The directory stands first and its size is known before the strips are: they go to the disk as they are packed.
    start = _place(file, ifd, [0] * strips, [0] * strips)
    offsets, lengths = [], []
    for top in range(0, height, _ROWS):
        samples = np.ascontiguousarray(rows(slice(top, top + _ROWS)), dtype.newbyteorder("<"))
        if dtype.kind != "f":
            samples = np.diff(samples, axis=1, prepend=np.zeros_like(samples[:, :1]))
        packed = zlib.compress(samples.tobytes(), 6)
        offsets.append(file.tell() - start)
        lengths.append(len(packed))
        file.write(packed + bytes(len(packed) % 2))
    _place(file, ifd, offsets, lengths)
    file.seek(0, 2)


def _place(file: BinaryIO, ifd: "ImageFileDirectory_v2", offsets: list[int], lengths: list[int]) -> int:
    """Writes header and directory at the beginning of the file; where the strips begin, from which offsets count."""
    for tag, values in ((tiff.STRIP_OFFSETS, offsets), (tiff.STRIP_BYTES, lengths)):
        ifd[tag] = tuple(values)
        ifd.tagtype[tag] = _LONG
    file.seek(0)
    file.write(b"II" + struct.pack("<HI", 42, 8))
    file.write(ifd.tobytes(8))
    return file.tell()


def _directory(exif: bytes | None) -> "ImageFileDirectory_v2":
    """The EXIF block's content as a TIFF directory: its own tags at the root, camera and place below."""
    from PIL.Image import Exif
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    ifd = ImageFileDirectory_v2(b"II*\0\x08\0\0\0")
    if exif is None:
        return ifd
    block = Exif()
    block.load(exif)
    for tag, value in block.items():
        if tag not in LAYOUT and tag not in (_EXIF, _GPS):
            ifd[tag] = value
    for tag in (_EXIF, _GPS):
        if tag in block and (inner := _inner(block, tag)):
            ifd.tagtype[tag] = _LONG
            ifd[tag] = inner
    return ifd


def _inner(block: "Exif", tag: int) -> dict:
    inner = dict(block.get_ifd(tag))
    inner.pop(_INTEROP, None)  # an offset into the old block
    return inner
