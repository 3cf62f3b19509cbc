"""ICC profiles of three curves and a matrix, or one grey curve: read with numpy, because lcms by way of Pillow has
8 bits only and cuts off what the other space does not hold. `make` writes one for files that name their colours in
another way (PNG's gAMA, cHRM and cICP, HEIC's nclx, the EXIF of Adobe RGB)."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mimdit.image.cicp import PRIMARIES, SRGB, Cicp, curve_of

__all__ = ["ADOBE_RGB", "Curve", "IccError", "RgbProfile", "cicp_of", "make", "of_code_points", "parse"]

Curve = Callable[[np.ndarray], np.ndarray]  # encoded f64 in 0..1 → linear f64
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


class IccError(ValueError):
    """Damaged, or made of tables: not a profile of curves and a matrix."""


@dataclass(frozen=True)
class RgbProfile:
    """curves: one a channel, three times the same for grey; matrix f64[3,3]: linear → XYZ under D50, None for grey."""

    kind: Literal["RGB", "GRAY"]
    curves: tuple[Curve, Curve, Curve]
    matrix: np.ndarray | None


def parse(icc: bytes) -> RgbProfile:
    """Raises IccError for all but curves and matrix."""
    try:
        tags = _tags(icc)
        if icc[16:20] == b"GRAY":
            grey = _sound(_curve(tags[b"kTRC"]))
            return RgbProfile("GRAY", (grey, grey, grey), None)
        if icc[16:20] != b"RGB ":
            raise IccError("expected RGB or grey")
        matrix = np.stack([_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")], axis=1)
        if abs(np.linalg.det(matrix)) < 1e-6:
            raise IccError("the primaries span no space")
        if (cicp := cicp_of(icc)) and (known := curve_of(cicp)):
            return RgbProfile("RGB", (known, known, known), matrix)
        red, green, blue = (_sound(_curve(tags[name])) for name in (b"rTRC", b"gTRC", b"bTRC"))
        return RgbProfile("RGB", (red, green, blue), matrix)
    except (KeyError, IndexError, struct.error) as error:
        raise IccError(f"lacks {error}") from error


def cicp_of(icc: bytes) -> Cicp | None:
    """The code points of a profile's cicp tag, which say more than its curves: whether 1 is white or a bright light."""
    try:
        tag = _tags(icc).get(b"cicp", b"")
    except (IccError, struct.error):
        return None
    return Cicp(tag[8], tag[9]) if tag[:4] == b"cicp" and len(tag) >= 12 else None


def make(name: str, xy: Sequence[tuple[float, float]], curve: float | Curve, cicp: Cicp | None = None) -> bytes:
    """A profile. xy: chromaticities of red, green, blue and white; curve: a gamma, or encoded → linear 0..1."""
    white = _xyz_of(xy[3])
    primaries = np.stack([_xyz_of(place) for place in xy[:3]], axis=1)
    adapt = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white)) @ _BRADFORD
    matrix = adapt @ primaries @ np.diag(np.linalg.solve(primaries, white))
    text = name.encode("utf-16-be")
    record = b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(text), 28) + text
    if isinstance(curve, float | int):
        tone = b"para\0\0\0\0" + struct.pack(">HHi", 0, 0, round(curve * 65536))
    else:
        table = np.rint(np.clip(curve(np.linspace(0, 1, 4096)), 0, 1) * 65535).astype(">u2")
        tone = b"curv\0\0\0\0" + struct.pack(">I", len(table)) + table.tobytes()
    tags = {b"desc": record, b"cprt": record, b"wtpt": _fixed(b"XYZ ", _D50), b"chad": _fixed(b"sf32", adapt.ravel())}
    for i, channel in enumerate((b"r", b"g", b"b")):
        tags[channel + b"XYZ"] = _fixed(b"XYZ ", matrix[:, i])
        tags[channel + b"TRC"] = tone
    if cicp is not None:
        tags[b"cicp"] = b"cicp\0\0\0\0" + bytes([cicp.primaries, cicp.transfer, 0, 1])
    return _assemble(tags)


def of_code_points(cicp: Cicp) -> bytes | None:
    """A profile for code points; None for sRGB and for what is not known here."""
    curve = curve_of(cicp)
    if cicp == SRGB or curve is None or cicp.primaries not in PRIMARIES:
        return None
    brightest = float(curve(np.ones(1))[0])  # the profile's own curve ends at 1
    name = f"CICP {cicp.primaries}/{cicp.transfer}"
    return make(name, PRIMARIES[cicp.primaries], lambda encoded: curve(encoded) / brightest, cicp)


ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), (0.3127, 0.3290)), 563 / 256  # for `make`: primaries, gamma


def _assemble(tags: dict[bytes, bytes]) -> bytes:
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(body), b"\0\0\0\0", 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H4s", 2020, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + _fixed(b"", _D50)[4:]
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _tags(icc: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", icc, 128)
    if icc[36:40] != b"acsp" or count > 200:
        raise IccError("is damaged")
    tags = {}
    for i in range(count):
        name, offset, size = struct.unpack_from(">4sII", icc, 132 + 12 * i)
        tags[name] = icc[offset : offset + size]
    return tags


def _xyz(tag: bytes) -> np.ndarray:
    return np.array(struct.unpack_from(">3i", tag, 8)) / 65536


def _fixed(kind: bytes, values: np.ndarray) -> bytes:
    return kind + bytes(4) + np.rint(np.asarray(values) * 65536).astype(">i4").tobytes()


def _xyz_of(xy: tuple[float, float]) -> np.ndarray:
    x, y = xy
    if not y > 0:
        raise IccError(f"expected a chromaticity, found {xy}")
    return np.array([x / y, 1, (1 - x - y) / y])


def _curve(tag: bytes) -> Curve:
    """A curv or para tag. Raises IccError."""
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return lambda encoded: encoded
        if count == 1:
            gamma = struct.unpack_from(">H", tag, 12)[0] / 256
            return lambda encoded: encoded**gamma
        table = np.frombuffer(tag, ">u2", offset=12)[:count] / 65535
        if len(table) != count:
            raise IccError("has a curve that ends early")
        return lambda encoded: np.interp(encoded, np.linspace(0, 1, count), table)
    if tag[:4] == b"para":
        return _parametric(*struct.unpack_from(">H", tag, 8), tag)
    raise IccError("has a curve of an unknown kind")


def _sound(curve: Curve) -> Curve:
    with np.errstate(all="ignore"):
        values = curve(np.linspace(0, 1, 257))
    if not np.isfinite(values).all() or not values[-1] > values[0]:
        raise IccError("has a curve that leads nowhere")
    return curve


def _parametric(kind: int, tag: bytes) -> Curve:
    """ICC.1, table of parametricCurveType: power laws, the later ones with a straight part near black."""
    if kind > 4:
        raise IccError("has a curve of an unknown kind")
    g, *rest = np.array(struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", tag, 12)) / 65536
    a, b, c, d, e, f = [*rest, *([1, 0, 0, 0, 0, 0][len(rest) :])]
    if kind in (1, 2):  # below −b/a the curve rests at 0, or at the offset that kind 2 gives in the third place
        e = f = c if kind == 2 else 0.0
        c, d = 0.0, -b / a if a else 0.0
    with np.errstate(invalid="ignore"):
        return lambda encoded: np.where(encoded >= d, np.maximum(a * encoded + b, 0) ** g + e, c * encoded + f)
