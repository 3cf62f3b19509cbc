"""Colours named by code point (ITU-T H.273): what PNG's cICP, HEIF's nclx and ICC's cicp tag say in two numbers."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = ["PQ", "PRIMARIES", "SRGB", "Cicp", "curve_of"]


class Cicp(NamedTuple):
    """Code points of the primaries and of the transfer function."""

    primaries: int
    transfer: int


SRGB = Cicp(1, 13)
PQ = 16
_HLG = 18
_D65 = (0.3127, 0.3290)
# Chromaticities of red, green, blue and white.
PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
}
_WHITE = 203  # cd/m² of a white sheet in PQ and HLG pictures (ITU-R BT.2408); brighter is light, beyond sRGB's 1


def curve_of(cicp: Cicp) -> Callable[[np.ndarray], np.ndarray] | None:
    """Encoded f64 in 0..1 → linear, 1 being a white sheet; None for a transfer function that is not known here."""
    return _CURVES.get(cicp.transfer)


def _srgb(encoded: np.ndarray) -> np.ndarray:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def _bt709(encoded: np.ndarray) -> np.ndarray:
    return np.where(encoded < 0.081, encoded / 4.5, ((encoded + 0.099) / 1.099) ** (1 / 0.45))


def _pq(encoded: np.ndarray) -> np.ndarray:
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = encoded ** (1 / m2)
    return (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1) * 10000 / _WHITE


def _hlg(encoded: np.ndarray) -> np.ndarray:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(encoded <= 0.5, encoded**2 / 3, (np.exp((encoded - c) / a) + b) / 12)
    return scene / ((np.exp((0.75 - c) / a) + b) / 12)  # a white sheet stands at 75 %


_CURVES: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    **dict.fromkeys((1, 6, 14, 15), _bt709),
    4: lambda encoded: encoded**2.2,
    5: lambda encoded: encoded**2.8,
    8: lambda encoded: encoded,
    13: _srgb,
    PQ: _pq,
    _HLG: _hlg,
}
