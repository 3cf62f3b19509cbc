"""What can be told of a photo by looking at its pixels: noise, JPEG blocks, haze, exposure. numpy only.

Estimates from one picture, without a truth: good enough to name a cause, not to rank two cameras. Each function's
docstring says what it assumes.
"""

from dataclasses import dataclass

import numpy as np

from mimdit.pixels import to_unit

__all__ = ["Facts", "blockiness", "exposure", "facts", "haze", "noise"]

_SAMPLE = 512  # px: side of the parts that are looked at, at native resolution
_PARTS = 3  # a grid of 3×3 of them
_PATCH = 15  # px, the dark channel's window (He et al. 2009)
_BLOCK = 8  # px, JPEG's
_SMOOTHEST = 0.79  # of Gaussian noise's deviation is what the smoothest fifth of blocks holds (measured, σ 10 and 25)


@dataclass(frozen=True)
class Facts:
    """noise: standard deviation in levels of 255 · blockiness: 1 is none, above 1.15 blocks are to be seen ·
    haze: 0..1, the least light that the photo has nearly everywhere · exposure: mean lightness, 0..1 ·
    black, white: shares of pixels at either end."""

    noise: float
    blockiness: float
    haze: float
    exposure: float
    black: float
    white: float


def facts(photo: np.ndarray) -> Facts:
    """All of them for [H,W,3] of any pixel dtype, from at most 9 parts of 512×512 px spread over it."""
    parts = [part for part in _parts(photo) if min(part.shape[:2]) >= 2 * _BLOCK + 2] or [to_unit(photo)]
    together = np.concatenate([part.reshape(-1, 3) for part in parts])
    black, white = (float(edge.mean()) for edge in ((together <= 2 / 255).all(1), (together >= 253 / 255).all(1)))
    return Facts(
        noise=round(float(np.median([noise(part) for part in parts])), 2),
        blockiness=round(float(np.median([blockiness(part) for part in parts])), 3),
        haze=round(float(np.median([haze(part) for part in parts])), 3),
        exposure=round(exposure(together[None]), 3),
        black=round(black, 4),
        white=round(white, 4),
    )


def noise(photo: np.ndarray) -> float:
    """Standard deviation of the noise in levels of 255, from [H,W,3]; 0 for photos below 4 px a side.

    The Laplacian difference of Immerkær (1996) cancels slopes; its size is taken over the smoothest fifth of 8×8 px
    blocks, since texture is no noise. Assumes noise that is alike in the neighbours: JPEG and resizing hide some of it.
    """
    unit = to_unit(photo)
    if min(unit.shape[:2]) < 4:
        return 0.0
    inner = slice(1, -1)
    cross = unit[:-2, inner] + unit[2:, inner] + unit[inner, :-2] + unit[inner, 2:]
    corners = unit[:-2, :-2] + unit[:-2, 2:] + unit[2:, :-2] + unit[2:, 2:]
    filtered = (4 * unit[inner, inner] - 2 * cross + corners).mean(2) * np.sqrt(3) / 6  # mean of 3 channels: σ/√3
    blocks = _block_means(filtered**2, min(_BLOCK, *filtered.shape))
    smoothest = np.sort(blocks.ravel())[: max(blocks.size // 5, 1)]
    return float(np.sqrt(smoothest.mean()) * 255 / _SMOOTHEST)


def blockiness(photo: np.ndarray) -> float:
    """How much steeper steps are at JPEG's 8 px grid than between, from [H,W,3] whose corner is a multiple of 8."""
    light = to_unit(photo).mean(2)
    ratios = []
    for plane in (light, light.T):
        if plane.shape[0] <= 2 * _BLOCK:
            continue
        steps = np.abs(np.diff(plane, axis=0)).mean(1)  # [H−1]
        at = steps[_BLOCK - 1 :: _BLOCK].mean()
        between = np.delete(steps, np.s_[_BLOCK - 1 :: _BLOCK]).mean()
        ratios.append((at + 1e-4) / (between + 1e-4))
    return float(np.mean(ratios)) if ratios else 1.0


def haze(photo: np.ndarray) -> float:
    """0..1: the median dark channel over the airlight (He et al. 2009), from [H,W,3].

    Somewhere within 15 px almost every clear scene has something dark in one colour; haze lifts it. White walls and
    snow look hazy to it.
    """
    unit = to_unit(photo)
    side = min(_PATCH, *unit.shape[:2])
    dark = _block_minima(unit.min(2), side)
    light = np.quantile(unit.max(2), 0.99)
    return float(np.clip(np.median(dark) / max(light, 1e-3), 0, 1))


def exposure(photo: np.ndarray) -> float:
    """Mean lightness of [H,W,3], 0..1, as encoded in sRGB: about 0.45 for most photos taken by day."""
    return float((to_unit(photo) @ np.array([0.2126, 0.7152, 0.0722], np.float32)).mean())


def _parts(photo: np.ndarray) -> list[np.ndarray]:
    """At most 3×3 parts f32[≤512,≤512,3], each beginning at a multiple of 8 px."""
    places = []
    for size in photo.shape[:2]:
        count = min(-(-size // _SAMPLE), _PARTS)
        last = max(size - _SAMPLE, 0)
        places.append([i * last // max(count - 1, 1) // _BLOCK * _BLOCK for i in range(count)])
    return [to_unit(photo[top : top + _SAMPLE, left : left + _SAMPLE]) for top in places[0] for left in places[1]]


def _blocks(plane: np.ndarray, side: int) -> np.ndarray:
    """[H,W] → [n,side,m,side], what is left over cut off."""
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    return plane[: rows * side, : columns * side].reshape(rows, side, columns, side)


def _block_means(plane: np.ndarray, side: int) -> np.ndarray:
    return _blocks(plane, side).mean((1, 3))


def _block_minima(plane: np.ndarray, side: int) -> np.ndarray:
    return _blocks(plane, side).min((1, 3))
