"""Colour spaces of photo files ↔ sRGB, in float32, beyond 0..1 as well: colours that sRGB does not hold are kept.

A space is three tone curves and a matrix: what cameras, editors and phones write. Profiles of tables only (printers,
scanners) have no exact inverse; such a photo is restored in its own values, and the profile goes back with it.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mimdit.image.icc import IccError, parse

__all__ = ["ColourSpace", "colour_space", "is_exact"]

_LEVELS = 65536  # of the curves' tables: each level of a 16-bit file has its own entry
# Linear sRGB → XYZ under D50, Bradford-adapted, as sRGB profiles state it (IEC 61966-2-1, ICC.1 annex).
_SRGB_D50 = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])


@dataclass(frozen=True)
class ColourSpace:
    """Three tone curves and a matrix, in float32: whole photos go through.

    curves f32[3,65536]: encoded 0..1 → linear, never falling · inverses f32[3,65536]: linear → encoded, over equal
    steps of sRGB's own curve up to `ends` f32[3], because equal steps of light are too coarse near black ·
    to_linear_srgb f32[3,3]: the space's linear → sRGB's.
    """

    curves: np.ndarray
    inverses: np.ndarray
    ends: np.ndarray
    to_linear_srgb: np.ndarray

    def to_srgb(self, pixels: np.ndarray) -> np.ndarray:
        """[n,W,3] u8, u16 or f32 of this space → f32, sRGB-encoded, below 0 and above 1 where sRGB ends."""
        linear = np.empty(pixels.shape, np.float32)
        for channel in range(3):
            linear[..., channel] = _decode(pixels[..., channel], self.curves[channel])
        return _srgb_encode(linear @ self.to_linear_srgb.T)

    def from_srgb(self, encoded: np.ndarray) -> np.ndarray:
        """The inverse of `to_srgb`: f32[n,W,3] → f32 in 0..1, cut where this space ends."""
        linear = _srgb_decode(encoded) @ np.linalg.inv(self.to_linear_srgb).T
        steps = _srgb_encode(linear)
        own = np.empty(encoded.shape, np.float32)
        for channel in range(3):
            own[..., channel] = _between(steps[..., channel] / self.ends[channel], self.inverses[channel])
        return own


def _space(curves: np.ndarray, matrix: np.ndarray) -> ColourSpace:
    """curves f64[3,65536], matrix f64[3,3]."""
    places = np.linspace(0, 1, _LEVELS)
    ends = _srgb_encode(curves[:, -1])
    inverses = [np.interp(_srgb_decode(places * end), curve, places) for end, curve in zip(ends, curves, strict=True)]
    single = (array.astype(np.float32) for array in (curves, np.stack(inverses), ends, matrix))
    return ColourSpace(*single)


@lru_cache(maxsize=8)  # a folder's photos share one profile; a space is 1.5 MB
def colour_space(icc: bytes | None, grey: bool) -> ColourSpace | None:
    """The space that a profile describes; None for sRGB, and for what is treated as sRGB (`is_exact` tells)."""
    if icc is None:
        return None
    try:
        profile = parse(icc)
    except IccError:
        return None
    if (profile.kind == "GRAY") != grey:
        return None
    places = np.linspace(0, 1, _LEVELS)
    curves = np.stack([np.maximum.accumulate(curve(places)) for curve in profile.curves])
    matrix = np.eye(3) if profile.matrix is None else np.linalg.inv(_SRGB_D50) @ profile.matrix
    space = _space(curves, matrix)
    return None if _is_srgb(space) else space


def is_exact(icc: bytes | None, grey: bool) -> bool:
    """Whether the profile can be converted: False for tables only, for another colour model and for damaged ones."""
    if icc is None:
        return True
    try:
        return (parse(icc).kind == "GRAY") == grey
    except IccError:
        return False


def _decode(values: np.ndarray, curve: np.ndarray) -> np.ndarray:
    if values.dtype == np.float32:
        return _between(values, curve)
    return curve[:: _LEVELS // 256 + 1][values] if values.dtype == np.uint8 else curve[values]


def _between(places: np.ndarray, table: np.ndarray) -> np.ndarray:
    """f32 in 0..1, cut to it → what a table of equal steps says there, linear in between."""
    steps = np.clip(places, 0, 1) * np.float32(len(table) - 1)
    low = np.minimum(steps.astype(np.int32), len(table) - 2)
    return table[low] + (steps - low) * (table[low + 1] - table[low])


def _is_srgb(space: ColourSpace) -> bool:
    """Within 1/512 on a grid of 9³ colours: the many files that call themselves sRGB differ by their rounding."""
    steps = np.linspace(0, 1, 9, dtype=np.float32)
    grid = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    return bool(np.abs(space.to_srgb(grid) - grid).max() < 1 / 512)


def _srgb_encode(linear: np.ndarray) -> np.ndarray:
    size = np.abs(linear)
    return np.copysign(np.where(size <= 0.0031308, 12.92 * size, 1.055 * size ** (1 / 2.4) - 0.055), linear)


def _srgb_decode(encoded: np.ndarray) -> np.ndarray:
    size = np.abs(encoded)
    return np.copysign(np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4), encoded)
