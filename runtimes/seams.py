"""Whether a photo looks as if it had been restored in pieces: seams between tiles, patches of uneven brightness.

Two numbers, because neither sees what the other does: a wide blend hides a tile's wrong exposure from every border, and
tiles of equal brightness may still not meet. numpy only.
"""

from collections.abc import Sequence

import numpy as np

from mimdit.pixels import to_unit
from mimdit.runtimes.tiler import tile_borders
from mimdit.runtimes.view import WholePhotoView, block_mean

__all__ = ["PATCH_LIMIT", "SEAM_LIMIT", "patch_score", "seam_score", "step_ratio"]

# Above these it is a fault. Measured with the default bundle's denoise, dehaze, lowlight and dejpeg on three photos of
# 700×600, against the grid moved: seam_score 1.0 to 2.1 with 32 px of overlap, 6 to 45 with none; patch_score
# 0.6 to 1.8 as shipped, 1.2 to 44 without the whole-photo view.
SEAM_LIMIT = 3.0
PATCH_LIMIT = 2.0  # levels of 255

_RUN = 32  # px along a border over which a step is averaged: a seam keeps its sign, noise and texture do not
_NEAR = 2  # px: two tiles that both darken towards their border meet without a step, but leave a line
_FLOOR = 0.05 / 255  # what rounding to 8 bits leaves of a step over _RUN px and three channels
_WINDOW = 64  # px, the side over which brightness is compared


def seam_score(restored: np.ndarray, reference: np.ndarray, tile: int, overlap: int) -> float:
    """The gradient across tile borders over the gradient inside; 1 is no seam, above SEAM_LIMIT is a fault.

    Both [H,W,3] of any pixel dtype. Measured on what differs from a reference without seams at these places: the same
    photo restored in one larger tile, or its truth; at worst the photo before, which hides small seams in what was
    removed. Borders are where tiles begin, end, and meet in the middle of what they share.
    """
    height, width = restored.shape[:2]
    return step_ratio(
        restored, reference, tile_borders(height, width, tile, overlap), tile_borders(width, height, tile, overlap)
    )


def step_ratio(restored: np.ndarray, reference: np.ndarray, rows: Sequence[int], columns: Sequence[int]) -> float:
    """`seam_score` for borders above these rows and left of these columns; 1.0 without any."""
    difference = to_unit(restored).mean(2) - to_unit(reference).mean(2)  # [H,W]
    return max(_ratio(difference, rows), _ratio(difference.T, columns))


def patch_score(restored: np.ndarray, view: WholePhotoView) -> float:
    """How far 64 px local means are from those of the photo restored as one, at most, in levels of 255.

    restored: [H,W,3] of any pixel dtype; view: `tiler.whole_photo_view` of the photo before. The photo is reduced as
    the view was, then both are averaged over the same windows. Above PATCH_LIMIT is a fault.
    """
    k = view.reduction
    height, width = (side // k * k for side in restored.shape[:2])
    found = np.concatenate([block_mean(to_unit(restored[top : top + k, :width]), k) for top in range(0, height, k)])
    difference = found - view.pixels[: len(found), : found.shape[1]]
    rows, columns = (min(_WINDOW // k, side) for side in difference.shape[:2])
    total = np.pad(difference.astype(np.float64), ((1, 0), (1, 0), (0, 0))).cumsum(0).cumsum(1)
    sums = total[rows:, columns:] - total[:-rows, columns:] - total[rows:, :-columns] + total[:-rows, :-columns]
    return float(np.abs(sums).max() / (rows * columns) * 255)


def _ratio(difference: np.ndarray, borders: Sequence[int]) -> float:
    """Of f32[H,W] and the rows that borders lie above."""
    if not borders:
        return 1.0
    steps = np.diff(difference, axis=0)  # [H−1,W]; row b−1 is the step across the border above row b
    run = min(_RUN, steps.shape[1])
    runs = steps[:, : steps.shape[1] // run * run].reshape(len(steps), -1, run)
    heights = np.abs(runs.mean(2)).mean(1)  # [H−1]
    across = np.zeros(len(heights), bool)
    for border in borders:
        across[max(border - 1 - _NEAR, 0) : border + _NEAR] = True
    return float((heights[across].max() + _FLOOR) / (heights[~across].mean() + _FLOOR))
