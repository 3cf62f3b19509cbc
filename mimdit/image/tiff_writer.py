"""TIFF files of 8, 16 bits and float32: strips, deflated, with all metadata. Pillow itself writes no deep RGB."""

import struct
import zlib
from collections.abc import Callable
from typing import BinaryIO

import numpy as np

from mimdit.image import exif as exif_block
from mimdit.image import ifd, tiff

__all__ = ["LAYOUT", "write"]

_PHOTOSHOP, _ORIENTATION, _SUB_PICTURES = 34377, 274, 330
# Tags that say how the pixels of a file are stored, or that are kept apart: not what was photographed.
LAYOUT = {254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325}
LAYOUT |= {338, 339, 347, 513, 514, 529, 530, 531, 532, tiff.ICC, tiff.XMP, tiff.IPTC}
LAYOUT |= {_PHOTOSHOP, _ORIENTATION, _SUB_PICTURES}
LAYOUT |= {33421, 33422, *range(50706, 52600)}  # a sensor's mosaic and DNG: with these a result would pass for RAW
_ROWS = 64  # a strip
_UNASSOCIATED = 2


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
    """rows(place) → [n,W,C] of those rows, C 1 to 4, an even one with alpha; shape: (H, W, C). `file` can seek.

    The file takes the byte order of the EXIF block, whose entries it takes over as they are.
    """
    height, width, channels = shape
    colours, strips = channels - (channels + 1) % 2, -(-height // _ROWS)
    kept, order = exif_block.directory_of(exif or b"")
    directory = {tag: entry for tag, entry in kept.items() if tag not in LAYOUT}
    for tag, values in {
        tiff.BITS: (dtype.itemsize * 8,) * channels,
        tiff.COMPRESSION: (tiff.DEFLATE,),
        tiff.PHOTOMETRIC: (2 if colours == 3 else 1,),
        tiff.SAMPLES: (channels,),
        tiff.STRIP_ROWS: (_ROWS,),
        tiff.PLANAR: (1,),
        tiff.PREDICTOR: (1 if dtype.kind == "f" else 2,),
        tiff.EXTRA: (_UNASSOCIATED,) * (channels - colours),
        tiff.FORMAT: (3 if dtype.kind == "f" else 1,) * channels,
    }.items():
        if values:
            directory[tag] = ifd.numbers_entry(order, ifd.SHORT, *values)
    for tag, value in ((tiff.WIDTH, width), (tiff.HEIGHT, height)):
        directory[tag] = ifd.numbers_entry(order, ifd.LONG, value)
    for tag, content, kind in (
        (tiff.ICC, icc, ifd.UNDEFINED),
        (tiff.XMP, xmp, ifd.BYTE),
        (tiff.IPTC, iptc, ifd.UNDEFINED),
    ):
        if content is not None:
            directory[tag] = ifd.Entry(kind, len(content), content)
    # The directory stands first and its size is known before the strips are: they go to the disk as they are packed.
    _place(file, directory, order, [0] * strips, [0] * strips)
    offsets, lengths = [], []
    for top in range(0, height, _ROWS):
        samples = np.ascontiguousarray(rows(slice(top, top + _ROWS)), dtype)
        if dtype.kind != "f":
            samples = np.diff(samples, axis=1, prepend=np.zeros_like(samples[:, :1]))
        packed = zlib.compress(samples.astype(dtype.newbyteorder(order)).tobytes(), 6)
        offsets.append(file.tell())
        lengths.append(len(packed))
        file.write(packed + bytes(len(packed) % 2))
    _place(file, directory, order, offsets, lengths)
    file.seek(0, 2)


def _place(file: BinaryIO, directory: ifd.Directory, order: ifd.Order, offsets: list[int], lengths: list[int]) -> None:
    """Writes header and directory at the beginning of the file."""
    directory[tiff.STRIP_OFFSETS] = ifd.numbers_entry(order, ifd.LONG, *offsets)
    directory[tiff.STRIP_BYTES] = ifd.numbers_entry(order, ifd.LONG, *lengths)
    file.seek(0)
    file.write(b"II" if order == "<" else b"MM")
    file.write(struct.pack(order + "HI", 42, 8) + ifd.pack(directory, order, 8))
