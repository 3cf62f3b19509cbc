"""PNG files of every kind, written chunk by chunk: what no library at hand writes."""

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

_COLOUR = {1: 0, 2: 4, 3: 2, 4: 6}
# Adam7: first column and row, steps between columns and rows, of each pass.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def write_png(
    path: Path,
    samples: np.ndarray,
    bits: int,
    *,
    interlaced: bool = False,
    palette: bytes | None = None,
    chunks: Mapping[bytes, bytes] | None = None,
) -> None:
    """samples u16[H,W,C] of `bits` bits; chunks come before the pixels, in their order."""
    height, width, channels = samples.shape
    colour = 3 if palette else _COLOUR[channels]
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    rows = b"".join(_rows(samples[y::dy, x::dx], bits) for x, y, dx, dy in passes)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    parts = {b"IHDR": header, **(chunks or {}), **({b"PLTE": palette} if palette else {}), b"IDAT": zlib.compress(rows)}
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(n, c) for n, c in [*parts.items(), (b"IEND", b"")]))


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _rows(samples: np.ndarray, bits: int) -> bytes:
    if samples.size == 0:
        return b""
    if bits == 16:
        rows = samples.astype(">u2").reshape(len(samples), -1).view(np.uint8)
    elif bits == 8:
        rows = samples.astype(np.uint8).reshape(len(samples), -1)
    else:
        each = samples.reshape(len(samples), -1)[..., None] >> np.arange(bits - 1, -1, -1) & 1
        rows = np.packbits(each.reshape(len(samples), -1).astype(np.uint8), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in rows)
