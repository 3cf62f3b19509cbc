"""What a network sees of a whole photo besides its tiles: the photo reduced, and crops of its native pixels.

Training and the runtimes call the same functions, so a network meets in the app what it was trained on. Everything is
numpy without BLAS: single-threaded, and equal bytes whatever the machine's thread count.
"""

from itertools import pairwise
from math import isqrt

import numpy as np

from mimdit.config import PHOTO_SIZE
from mimdit.pixels import Pixels, mirror, to_unit

CROP = 64  # px: side of a crop
CROPS = 16  # a 4×4 grid
_BLOCK = 8  # px: JPEG codes blocks of this side, counted from the photo's top left corner


def dispatcher_inputs(photo: Pixels, crop: int = CROP, crops: int = CROPS) -> tuple[np.ndarray, np.ndarray]:
    """[H,W,3] of any pixel dtype → the dispatcher's two inputs: `photo_view`'s and `photo_crops`'s."""
    return photo_view(photo), photo_crops(photo, crop, crops)


def photo_view(photo: Pixels) -> np.ndarray:
    """[H,W,3] of any pixel dtype → f32[1,3,64,64] in 0..1: every pixel the exact mean of its 1/64 × 1/64 of the photo.

    The aspect is not kept. Photos below 64 px a side repeat pixels by the same rule.
    """
    columns = _area_mean(photo, PHOTO_SIZE)  # [64,W,3]
    view = _area_mean(columns.swapaxes(0, 1), PHOTO_SIZE).swapaxes(0, 1)  # [64,64,3]
    view = np.clip(view, 0, 1)  # float32 sums may end at 1 + 1e-7
    return np.ascontiguousarray(view.transpose(2, 0, 1))[None]


def photo_crops(photo: Pixels, crop: int, crops: int) -> np.ndarray:
    """[H,W,3] of any pixel dtype → f32[crops,3,crop,crop] in 0..1: native pixels from a square grid over the photo.

    Noise and block edges live in native pixels, which `photo_view` averages away. The outermost crops reach to within
    7 px of the photo's borders; crops overlap, and are filled up by reflection, where the photo is small.
    """
    side = isqrt(crops)
    rows, columns = (_grid(size, crop, side) for size in photo.shape[:2])
    cut = [to_unit(photo[np.ix_(y, x)]).transpose(2, 0, 1) for y in rows for x in columns]
    return np.stack(cut)


def crop_origins(height: int, width: int, crop: int = CROP, crops: int = CROPS) -> list[tuple[int, int]]:
    """Rows and columns where `photo_crops`'s crops of a photo begin, in their order."""
    side = isqrt(crops)
    rows, columns = (_grid(size, crop, side) for size in (height, width))
    return [(int(y[0]), int(x[0])) for y in rows for x in columns]


def _grid(size: int, crop: int, side: int) -> list[np.ndarray]:
    """`side` index arrays int[crop], spread evenly over `size` pixels, each beginning where a JPEG block begins."""
    line = mirror(max(size, crop), size)
    last = len(line) - crop
    origins = [i * last // max(side - 1, 1) // _BLOCK * _BLOCK for i in range(side)]
    return [line[o : o + crop] for o in origins]


def _area_mean(pixels: Pixels, bins: int) -> np.ndarray:
    """[N,M,3] → f32[bins,M,3]: means over `bins` equal, fractional spans of the first axis, one span at a time."""
    edges = np.arange(bins + 1) * (len(pixels) / bins)
    means = np.empty((bins, *pixels.shape[1:]), np.float32)
    for i, (low, high) in enumerate(pairwise(edges)):
        first = int(low)
        last = min(max(int(np.ceil(high)), first + 1), len(pixels))
        place = np.arange(first, last)
        weight = (np.minimum(place + 1, high) - np.maximum(place, low)).astype(np.float32)
        means[i] = np.einsum("n,nmc->mc", weight / weight.sum(), to_unit(pixels[first:last]))
    return means
