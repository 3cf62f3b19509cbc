"""TIFF beyond 8 bits, which Pillow reads in part, and all TIFF that is written.

What is uncompressed or deflated is put together here, a strip at a time. Integers of 16 bits that are packed otherwise
come through Pillow, that is libtiff, in the usual layouts: its decoder runs twice, as for PNG.
"""

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from mimdit.errors import PhotoError
from mimdit.image import ifd

if TYPE_CHECKING:
    from PIL.TiffImagePlugin import TiffImageFile

__all__ = ["Page", "Samples", "first_page", "is_deep", "read_deep"]

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES = 256, 257, 258, 259, 262, 277
STRIP_OFFSETS, STRIP_ROWS, STRIP_BYTES, PLANAR, PREDICTOR = 273, 278, 279, 284, 317
ICC, XMP, IPTC = 34675, 700, 33723
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, EXTRA, FORMAT = 322, 323, 324, 325, 338, 339
NONE, DEFLATE, OLD_DEFLATE = 1, 8, 32946
_UNPACKED = (NONE, DEFLATE, OLD_DEFLATE)
_UNSIGNED, _FLOAT = 1, 3
_PREMULTIPLIED = 1


@dataclass(frozen=True)
class Page:
    """The first picture's directory; `more` says whether other pictures follow."""

    entries: ifd.Directory
    order: ifd.Order
    more: bool

    def numbers(self, tag: int, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """Raises KeyError where the tag is missing and there is no default."""
        entry = self.entries[tag] if default is None else self.entries.get(tag)
        return default or () if entry is None else entry.numbers(self.order)

    def number(self, tag: int, default: int | None = None) -> int:
        return self.numbers(tag, None if default is None else (default,))[0]

    def content(self, tag: int) -> bytes | None:
        """The bytes of a tag, or None."""
        entry = self.entries.get(tag)
        return None if entry is None else entry.content


class Samples(NamedTuple):
    """samples u16 or f32 [H,W,C]; whether the last channel is alpha; whether Pillow has turned them upright."""

    values: np.ndarray
    has_alpha: bool
    upright: bool


def first_page(file: BinaryIO) -> Page:
    """Raises struct.error and KeyError for damage."""
    directory, following, order = ifd.read_first(file)
    return Page(directory, order, bool(following))


def is_deep(page: Page) -> bool:
    """Whether any channel has more than 8 bits."""
    return max(page.numbers(BITS, (1,))) > 8


def read_deep(file: BinaryIO, page: Page) -> Samples:
    """All samples. Raises PhotoError for a layout that is not read, ValueError for damage."""
    photometric, bits = page.number(PHOTOMETRIC), set(page.numbers(BITS))
    formats = set(page.numbers(FORMAT, (_UNSIGNED,)))
    if photometric not in (0, 1, 2) or len(bits) != 1 or len(formats) != 1:
        raise PhotoError("is neither grey nor RGB of one depth: convert it to RGB")
    chunky = page.number(PLANAR, 1) == 1
    by_hand = page.number(COMPRESSION, NONE) in _UNPACKED  # a strip at a time: Pillow holds all of it several times
    image = _pillow(file) if chunky and bits == {16} and formats == {_UNSIGNED} and not by_hand else None
    samples = _by_pillow(file, image) if image is not None else _by_hand(file, page, *bits, *formats)
    colours = 3 if photometric == 2 else 1
    extra = page.numbers(EXTRA, ())
    has_alpha = samples.shape[-1] > colours and (not extra or extra[0] in (0, _PREMULTIPLIED, 2))
    samples = samples[..., : colours + has_alpha]
    if photometric == 0:
        samples[..., 0] = (1 if samples.dtype == np.float32 else 65535) - samples[..., 0]
    if has_alpha and extra[:1] == (_PREMULTIPLIED,):
        samples = _unmultiplied(samples)
    return Samples(samples, has_alpha, image is not None)


def _pillow(file: BinaryIO) -> "TiffImageFile | None":
    """The file as Pillow opens it, where its layout is one whose both bytes Pillow can be made to give."""
    from PIL import UnidentifiedImageError
    from PIL.TiffImagePlugin import TiffImageFile

    file.seek(0)
    try:
        image = TiffImageFile(file)
    except (SyntaxError, UnidentifiedImageError):
        return None
    raws = {_raw(tile.args) for tile in image.tile}
    known = image.mode in ("I;16", "I;16B") or any(raws == {f"{m};16{o}"} for m in _COLOURS for o in "LBN")
    return image if known else None


_COLOURS = ("RGB", "RGBA", "RGBX", "RGBa")


def _by_pillow(file: BinaryIO, image: "TiffImageFile") -> np.ndarray:
    """u16[H,W,C]."""
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)[..., None]
    raw = _raw(image.tile[0].args)
    mode, order = raw.split(";16")
    mode = "RGB" if mode == "RGB" else "RGBA"  # RGBa would be divided by its alpha in 8 bits
    little = order == "L" or (order == "N" and np.little_endian)
    high, low = ("L", "B") if little else ("B", "L")
    samples = _decoded(file, mode, f"{mode};16{high}").astype(np.uint16) << 8
    samples |= _decoded(file, mode, f"{mode};16{low}")
    return samples


def _decoded(file: BinaryIO, mode: str, raw: str) -> np.ndarray:
    from PIL.TiffImagePlugin import TiffImageFile

    file.seek(0)
    image = TiffImageFile(file)
    image._mode = mode
    image.tile = [tile._replace(args=_with_raw(tile.args, raw)) for tile in image.tile]
    return np.asarray(image)


def _raw(args: object) -> str:
    return str(args[0] if isinstance(args, tuple) else args)


def _with_raw(args: object, raw: str) -> object:
    return (raw, *args[1:]) if isinstance(args, tuple) else raw


def _by_hand(file: BinaryIO, page: Page, bits: int, format: int) -> np.ndarray:
    """u16 or f32 [H,W,C], strips or tiles, chunky or planar."""
    kinds = {(16, _UNSIGNED): "u2", (16, _FLOAT): "f2", (32, _FLOAT): "f4", (64, _FLOAT): "f8"}
    compression = page.number(COMPRESSION, NONE)
    if (bits, format) not in kinds:
        raise PhotoError(f"has {bits}-bit integers: convert it to 16 bits or to float")
    if compression not in _UNPACKED:
        raise PhotoError(f"is compressed in a way that is not read at this depth ({compression}): save it with ZIP")
    kind = np.dtype(page.order + kinds[bits, format])
    height, width, channels = page.number(HEIGHT), page.number(WIDTH), page.number(SAMPLES, 1)
    planar, predictor = page.number(PLANAR, 1) == 2, page.number(PREDICTOR, 1)
    tiled = TILE_OFFSETS in page.entries
    if tiled:
        rows, columns = page.number(TILE_HEIGHT), page.number(TILE_WIDTH)
        offsets, lengths = page.numbers(TILE_OFFSETS), page.numbers(TILE_BYTES)
    else:
        rows, columns = min(page.number(STRIP_ROWS, height), height), width
        offsets, lengths = page.numbers(STRIP_OFFSETS), page.numbers(STRIP_BYTES)
    across = -(-width // columns)
    a_plane = across * -(-height // rows)
    if not 1 <= channels <= 8 or rows * columns > 2 * max(height, 512) * max(width, 512):
        raise ValueError("its layout makes no sense")
    if len(offsets) != len(lengths) or len(offsets) != a_plane * (channels if planar else 1):
        raise ValueError("its list of strips or tiles has a wrong length")
    result = np.empty((height, width, channels), np.uint16 if format == _UNSIGNED else np.float32)
    for i, (offset, length) in enumerate(zip(offsets, lengths, strict=True)):
        plane, place = divmod(i, a_plane)
        top, left = place // across * rows, place % across * columns
        present = rows if tiled else min(rows, height - top)
        shape = (present, columns, 1 if planar else channels)
        file.seek(offset)
        data = file.read(length)
        part = _segment(data, shape, kind, compression, predictor)[: height - top, : width - left]
        into = result[top : top + len(part), left : left + part.shape[1]]
        if planar:
            into[..., plane] = part[..., 0]
        else:
            into[:] = part
    return result


def _segment(data: bytes, shape: tuple[int, int, int], kind: np.dtype, compression: int, predictor: int) -> np.ndarray:
    """One strip or tile. Never more than its own size is unpacked."""
    rows, columns, channels = shape
    size = rows * columns * channels * kind.itemsize
    if compression != NONE:
        data = zlib.decompressobj().decompress(data, size)
    if len(data) < size:
        raise ValueError("a strip or tile ends early")
    if predictor == 3:  # differences of bytes, the highest of all samples of a row first
        steps = np.frombuffer(data, np.uint8, size).reshape(rows, -1, channels)
        planes = np.cumsum(steps, axis=1, dtype=np.uint8).reshape(rows, kind.itemsize, columns * channels)
        ordered = np.ascontiguousarray(planes.swapaxes(1, 2))
        return ordered.view(kind.newbyteorder(">")).reshape(shape)
    samples = np.frombuffer(data, kind, size // kind.itemsize).reshape(shape)
    return np.cumsum(samples, axis=1, dtype=kind.newbyteorder("=")) if predictor == 2 else samples


def _unmultiplied(samples: np.ndarray) -> np.ndarray:
    full = 1.0 if samples.dtype == np.float32 else 65535.0
    share = np.maximum(samples[..., -1:].astype(np.float32) / np.float32(full), 1e-6)
    colours = samples[..., :-1] / share
    if samples.dtype != np.float32:
        colours = np.rint(np.minimum(colours, full))
    return np.concatenate([colours.astype(samples.dtype), samples[..., -1:]], axis=-1)
