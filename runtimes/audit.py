"""Where a restored photo holds something that the photo before does not: a map, and the place that stands out most.

Without a truth there is still a check: degrade the restored photo again and compare it with the photo before. How the
photo was degraded is read off the pair itself, so that nothing must be known of it: a smooth gain and offset (haze,
darkness) and a filter (blur), both so stiff that no single region moves them. What is left over in y, the photo before,
is noise and whatever was taken away; neither goes along with the degraded-again photo z. What was *added* is part of z
and not of y: the mean of z·z − y·z over a window is its energy, while everything that y backs cancels out.
"""

from dataclasses import dataclass

import numpy as np

from mimdit.pixels import to_unit
from mimdit.runtimes.view import block_mean

__all__ = ["Audit", "audit"]

WINDOW = 64  # px, the region that is judged
_CELL = 16  # px, the step between regions and one pixel of the map
_STIFF = 17  # cells, over which gain and offset are fitted
_FINE = 9  # px: only structure finer than this counts; coarser differences are brightness, which a variant may change
_CONTRAST = 1.15  # so much more contrast than before is no addition
_FLOOR = (0.5 / 255) ** 2  # energy below which a frequency says nothing about the filter


@dataclass(frozen=True)
class Audit:
    """map f32[h,w]: standard deviation of what was added, in levels of 255, one value for each step of 16 px.

    top, left: corner of the 64 px region with most of it, in px; added: how much, in levels; typical: the median of all
    regions, which says what to expect of this photo.
    """

    map: np.ndarray
    top: int
    left: int
    added: float
    typical: float


def audit(before: np.ndarray, after: np.ndarray) -> Audit:
    """Two [H,W,3] of one shape and any pixel dtype: the photo, and the photo restored."""
    y, x = _lightness(before), _lightness(after)
    z = _filtered(_relit(x, y), y)
    y, z = y - _box(y, _FINE), z - _box(z, _FINE)
    rows, columns = (side // _CELL for side in y.shape)
    energy = _cells(z * z) - _CONTRAST * _cells(y * z)  # [rows,columns]
    span = min(WINDOW // _CELL, rows, columns)
    sums = np.pad(energy, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    regions = sums[span:, span:] - sums[:-span, span:] - sums[span:, :-span] + sums[:-span, :-span]
    added = np.sqrt(np.maximum(regions / span**2, 0)).astype(np.float32) * 255
    row, column = np.unravel_index(int(added.argmax()), added.shape)
    return Audit(added, int(row) * _CELL, int(column) * _CELL, float(added.max()), float(np.median(added)))


def _lightness(photo: np.ndarray) -> np.ndarray:
    """[H,W,3] → f32[H',W'], continued by reflection to whole cells, at least four of them."""
    light = to_unit(photo).mean(2, dtype=np.float32)
    short = [max(-(-side // _CELL) * _CELL, WINDOW) - side for side in light.shape]
    return np.pad(light, ((0, short[0]), (0, short[1])), mode="symmetric")


def _relit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x f32[H,W] with the gain and offset that bring it nearest to y, fitted over 17 × 17 cells at every place."""
    mean_x, mean_y = (_box(_cells(plane), _STIFF) for plane in (x, y))
    variance = _box(_cells(x * x), _STIFF) - mean_x**2
    covariance = _box(_cells(x * y), _STIFF) - mean_x * mean_y
    gain = (covariance + _FLOOR) / (variance + _FLOOR)
    offset = mean_y - gain * mean_x
    gain, offset = (np.repeat(np.repeat(plane, _CELL, 0), _CELL, 1) for plane in (gain, offset))
    return gain * x + offset


def _filtered(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x f32[H,W] blurred as y is against it, by one filter for the whole photo.

    The filter's response is the median over 64 px windows of their cross spectra over that of their power spectra: a
    median, because a region with something added must not explain itself.
    """
    cross, power = [], []
    taper = np.hanning(WINDOW)[:, None] * np.hanning(WINDOW)
    for top in range(0, len(x) - WINDOW + 1, WINDOW // 2):
        places = range(0, x.shape[1] - WINDOW + 1, WINDOW // 2)
        windows = [np.stack([plane[top : top + WINDOW, left : left + WINDOW] for left in places]) for plane in (x, y)]
        fx, fy = (np.fft.rfft2((w - w.mean((1, 2), keepdims=True)) * taper) for w in windows)
        cross.append((fx.conj() * fy).real.astype(np.float32))
        power.append((np.abs(fx) ** 2).astype(np.float32))
    floor = _FLOOR * (taper**2).sum()
    response = (np.median(np.concatenate(cross), 0) + floor) / (np.median(np.concatenate(power), 0) + floor)
    kernel = np.fft.fftshift(np.fft.irfft2(np.clip(response, 0, 1), (WINDOW, WINDOW)))
    return _convolve(x, kernel)


def _convolve(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """f32[H,W] by a 64×64 kernel, in strips, borders reflected."""
    half, strip = WINDOW // 2, 256
    padded = np.pad(x, half, mode="reflect" if min(x.shape) > half else "symmetric")
    result = np.empty_like(x)
    for top in range(0, len(x), strip):
        part = padded[top : top + min(strip, len(x) - top) + 2 * half]
        shape = (part.shape[0] + WINDOW, part.shape[1] + WINDOW)
        product = np.fft.irfft2(np.fft.rfft2(part, shape) * np.fft.rfft2(kernel, shape), shape)
        rows = part.shape[0] - 2 * half
        result[top : top + rows] = product[2 * half : 2 * half + rows, 2 * half : 2 * half + x.shape[1]]
    return result


def _cells(plane: np.ndarray) -> np.ndarray:
    """f32[H,W] → means f32[H/16,W/16]."""
    return block_mean(plane[..., None], _CELL)[..., 0]


def _box(plane: np.ndarray, side: int) -> np.ndarray:
    """Means over side × side around every place, edges repeated; same shape."""
    half = side // 2
    padded = np.pad(plane, half, mode="edge").astype(np.float64)
    total = np.pad(padded, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    return (sums / side**2).astype(np.float32)
