"""PNG where Pillow falls short: 16 bits a channel, which it cuts to 8, and the chunks that name colours.

Reading 16 bits: Pillow's own decoder runs twice over the same data, once for the high and once for the low bytes of
each sample; it has both unpackers, one for each order of bytes. Writing: a filter a row in numpy, and zlib.
"""

import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from mimdit.image.cicp import PRIMARIES, SRGB, Cicp
from mimdit.image.icc import IccError, cicp_of, make, of_code_points

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Chunks", "colours", "extra_chunks", "has_alpha", "is_deep", "read_chunks", "read_deep", "write_deep"]

Chunks = dict[bytes, bytes]  # the first of each kind, IDAT being all of them in a row
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # colour type → samples a pixel
_ROWS = 64
_BIGGEST_CHUNK = 2**20


def read_chunks(file: BinaryIO, *, pixels: bool) -> Chunks:
    """Chunks of a file as far as it reaches, those with pixels only on request. Raises ValueError for a wrong sum."""
    file.seek(len(_SIGNATURE))
    chunks: dict[bytes, list[bytes]] = {}
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name == b"IDAT" and not pixels:
            file.seek(length + 4, 1)
            continue
        content = file.read(length)
        if file.read(4) != struct.pack(">I", zlib.crc32(name + content)):
            raise ValueError(f"the sum of its {name.decode('latin-1')} chunk is wrong")
        if name == b"IDAT" or name not in chunks:
            chunks.setdefault(name, []).append(content)
        if name == b"IEND":
            break
    return {name: b"".join(parts) for name, parts in chunks.items()}


def is_deep(image: "Image") -> bool:
    """Whether a PNG that Pillow opened has 16 bits a channel: its decoder's raw mode tells."""
    return any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))


def has_alpha(chunks: Chunks) -> bool:
    """Whether `read_deep` ends with a channel of alpha."""
    return chunks[b"IHDR"][9] in (4, 6) or b"tRNS" in chunks


def read_deep(chunks: Chunks) -> np.ndarray:
    """u16[H,W,C] of a 16-bit file; C is 1, 2 (grey and alpha), 3 or 4. A colour declared clear becomes alpha."""
    from PIL import Image

    width, height, _, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    data = chunks[b"IDAT"]

    def decode(mode: str, raw: str) -> np.ndarray:
        return np.asarray(Image.frombytes(mode, (width, height), data, "zip", raw, interlaced))

    channels = _CHANNELS[colour]
    if channels == 1:
        samples = decode("I;16", "I;16B")[..., None].astype(np.uint16)
    elif channels == 2:  # two samples of two bytes pass for a pixel of four
        samples = decode("RGBA", "RGBA").view(">u2").astype(np.uint16)
    else:
        mode = "RGB" if channels == 3 else "RGBA"
        samples = decode(mode, f"{mode};16B").astype(np.uint16) << 8
        samples |= decode(mode, f"{mode};16L")
    if clear := chunks.get(b"tRNS"):
        key = np.frombuffer(clear[: 2 * channels], ">u2")
        alpha = np.where((samples == key).all(-1, keepdims=True), np.uint16(0), np.uint16(65535))
        samples = np.concatenate([samples, alpha], axis=-1)
    return samples


def colours(chunks: Chunks, icc: bytes | None) -> bytes | None:
    """The profile of a file: cICP before iCCP before sRGB before gAMA and cHRM, the specification's order."""
    cicp = chunks.get(b"cICP", b"")
    if len(cicp) == 4 and (profile := of_code_points(Cicp(cicp[0], cicp[1]))) is not None:
        return profile
    if len(cicp) == 4 and Cicp(cicp[0], cicp[1]) == SRGB:
        return None
    gamma = chunks.get(b"gAMA", b"")
    if icc is not None or b"sRGB" in chunks or len(gamma) != 4:
        return icc
    exponent = int.from_bytes(gamma, "big") / 100000
    xy = PRIMARIES[1]
    if len(chunks.get(b"cHRM", b"")) == 32:
        values = [value / 100000 for value in struct.unpack(">8I", chunks[b"cHRM"])]
        white, red, green, blue = zip(values[::2], values[1::2], strict=True)
        xy = (red, green, blue, white)
    standard = np.abs(np.subtract(xy, PRIMARIES[1])).max() < 0.001
    # 1/2.2 with sRGB's primaries stands for sRGB itself in the files that are written.
    if not 0.1 < exponent < 10 or (standard and abs(exponent - 1 / 2.2) < 0.001):
        return None
    try:
        return make("PNG gAMA and cHRM", xy, 1 / exponent)
    except (IccError, np.linalg.LinAlgError):
        return None


def write_deep(
    file: BinaryIO,
    rows: Callable[[slice], np.ndarray],
    shape: tuple[int, int, int],
    *,
    icc: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
) -> None:
    """Writes 16 bits a channel. rows(place) → u16[n,W,C] of those rows; shape: (H, W, C)."""
    height, width, channels = shape
    colour = {count: kind for kind, count in _CHANNELS.items()}[channels]
    file.write(_SIGNATURE)
    _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0))
    for name, content in extra_chunks(icc):
        _chunk(file, name, content)
    if icc is not None:
        _chunk(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc))
    if exif is not None:
        _chunk(file, b"eXIf", exif.removeprefix(b"Exif\0\0"))
    if xmp is not None:
        _chunk(file, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    packer, waiting = zlib.compressobj(6), b""
    above = np.zeros((1, width * channels * 2), np.uint8)
    for top in range(0, height, _ROWS):
        samples = np.ascontiguousarray(rows(slice(top, top + _ROWS)), ">u2")
        own = samples.reshape(len(samples), -1).view(np.uint8)
        waiting += packer.compress(_filtered(own, np.concatenate([above, own[:-1]]), channels * 2).tobytes())
        above = own[-1:]
        if len(waiting) >= _BIGGEST_CHUNK:
            _chunk(file, b"IDAT", waiting)
            waiting = b""
    _chunk(file, b"IDAT", waiting + packer.flush())
    _chunk(file, b"IEND", b"")


def extra_chunks(icc: bytes | None) -> list[tuple[bytes, bytes]]:
    """The chunks beside iCCP: cICP for a profile that says its code points, which readers of HDR look for."""
    cicp = None if icc is None else cicp_of(icc)
    return [] if cicp is None else [(b"cICP", bytes([cicp.primaries, cicp.transfer, 0, 1]))]


def _filtered(own: np.ndarray, above: np.ndarray, step: int) -> np.ndarray:
    """u8[n,bytes], the rows above them, bytes a pixel → u8[n,1+bytes]: each row by the filter of the least residue."""
    left, corner = np.zeros_like(own), np.zeros_like(own)
    left[:, step:], corner[:, step:] = own[:, :-step], above[:, :-step]
    candidates = {1: own - left, 2: own - above, 4: own - _paeth(left, above, corner)}
    costs = np.stack([np.abs(residue.view(np.int8).astype(np.int16)).sum(1) for residue in candidates.values()])
    best = costs.argmin(0)
    result = np.empty((len(own), 1 + own.shape[1]), np.uint8)
    for i, (kind, residue) in enumerate(candidates.items()):
        result[best == i, 0] = kind
        result[best == i, 1:] = residue[best == i]
    return result


def _paeth(left: np.ndarray, above: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """The neighbour nearest to left + above − corner; of equals the first in this order."""
    a, b, c = (neighbour.astype(np.int16) for neighbour in (left, above, corner))
    by_left, by_above, by_corner = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    nearest = np.where(by_above <= by_corner, above, corner)
    return np.where((by_left <= by_above) & (by_left <= by_corner), left, nearest)


def _chunk(file: BinaryIO, name: bytes, content: bytes) -> None:
    file.write(struct.pack(">I", len(content)) + name + content)
    file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(name))))
