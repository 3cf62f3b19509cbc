"""What no average shows: black tiles, a colour cast, a seam, patches of uneven brightness.

Figures that say which photos to look at first. NaN never gets this far: `Runtime.run` refuses it.
"""

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mimdit.benchmarks.methods import Pieces
from mimdit.benchmarks.mistakes import displaced_blocks, swap_gain
from mimdit.runtimes.seams import PATCH_LIMIT, SEAM_LIMIT, patch_score, seam_score

__all__ = ["Defects", "black_blocks", "colour_cast", "defects", "patch", "seam"]

_BLOCK = 32  # px
_BLACK = 2  # levels: at most this everywhere is black
_LIT = 16  # levels: a truth of this mean is not
_SIDE = 4  # px that are averaged on either side of a possible seam
_RUN = 128  # px that a seam is long at least
_PATCH = 64  # px: the side over which brightness is compared
_SWAPPED = 1.0  # dB that exchanging red and blue must gain; a grey photo gains none either way
_OWN_EDGE = 2.0  # levels: where the truth has a straight edge of its own no seam is looked for


class Defects(BaseModel):
    """What was looked for in one restored photo, in levels of 255."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    black_blocks: int = Field(description="blocks of 32×32 px that are black, and are not in the truth")
    cast: float = Field(description="colour cast against the truth")
    input_cast: float = Field(description="the input's own")
    seam: float = Field(description="height of the highest straight step of 128 px that the truth does not have")
    input_seam: float = Field(description="the input's own: noise and blocks make some")
    patch: float = Field(default=0.0, description="largest step of the error between means of 64×64 px side by side")
    input_patch: float = Field(default=0.0, description="the input's own")
    swapped: bool = Field(default=False, description="with red and blue exchanged it would be nearer to the truth")
    displaced_blocks: int = Field(default=0, description="blocks of 32×32 px that lie one pixel off")
    seam_score: float | None = Field(
        default=None, description="gradient of the error across tile borders over that inside; 1 is no seam"
    )
    patch_score: float | None = Field(
        default=None, description="largest difference between 64 px local means and the whole-photo view; null: no view"
    )

    @property
    def suspicious(self) -> bool:
        """Whether a person should look: raised too often rather than too seldom."""
        tinted = self.cast > max(8.0, self.input_cast + 2)
        uneven = self.patch > max(12.0, self.input_patch + 4)
        misplaced = self.swapped or self.displaced_blocks > 0
        pieces = (self.seam_score or 0) > SEAM_LIMIT or (self.patch_score or 0) > PATCH_LIMIT
        step = self.seam > max(6.0, self.input_seam + 2)
        return self.black_blocks > 0 or tinted or uneven or misplaced or pieces or step


def defects(
    restored: np.ndarray, degraded: np.ndarray, truth: np.ndarray | None, pieces: Pieces | None = None
) -> Defects:
    """u8[H,W,3] each; without a truth the degraded photo stands in for it. Without tiles they have no scores."""
    truth = degraded if truth is None else truth
    return Defects(
        black_blocks=black_blocks(restored, truth),
        cast=round(colour_cast(restored, truth), 3),
        input_cast=round(colour_cast(degraded, truth), 3),
        seam=round(seam(restored, truth), 3),
        input_seam=round(seam(degraded, truth), 3),
        patch=round(patch(restored, truth), 3),
        input_patch=round(patch(degraded, truth), 3),
        swapped=swap_gain(restored, truth) > max(_SWAPPED, swap_gain(degraded, truth) + _SWAPPED),
        displaced_blocks=displaced_blocks(restored, degraded, truth),
        seam_score=pieces and round(seam_score(restored, truth, pieces.tile, pieces.overlap), 3),
        patch_score=pieces and pieces.view and round(patch_score(restored, pieces.view), 3),
    )


def black_blocks(restored: np.ndarray, truth: np.ndarray) -> int:
    """How many blocks of 32×32 px are black where the truth, u8[H,W,3] as well, is not."""
    count = 0
    for top in range(0, len(truth), _BLOCK):
        for left in range(0, truth.shape[1], _BLOCK):
            block = np.s_[top : top + _BLOCK, left : left + _BLOCK]
            count += bool(restored[block].max() <= _BLACK and truth[block].mean() >= _LIT)
    return count


def colour_cast(photo: np.ndarray, truth: np.ndarray) -> float:
    """How far the mean errors of red, green and blue lie apart, in levels. An error of brightness alone is no cast."""
    return float(np.ptp(photo.mean((0, 1), dtype=np.float64) - truth.mean((0, 1), dtype=np.float64)))


def seam(restored: np.ndarray, truth: np.ndarray) -> float:
    """The highest straight step, along either axis, that the error makes and the truth does not, in levels.

    A seam is straight and long. So each step, between the means of 4 px on both sides, is judged by its median over
    128 px along the line: texture and edges of the scene cross a line here and there and do not move the median.
    """
    error = restored.mean(2, dtype=np.float32) - truth.mean(2, dtype=np.float32)  # [H,W]
    scene = truth.mean(2, dtype=np.float32)
    return max(_highest_step(error, scene), _highest_step(error.T, scene.T))


def patch(photo: np.ndarray, truth: np.ndarray) -> float:
    """How unevenly the error brightens: the largest step between its means over 64×64 px side by side, in levels.

    Tiles that were exposed apart make such steps, also where a wide blend leaves no seam. 0 for a photo of one block.
    """
    error = photo.mean(2, dtype=np.float32) - truth.mean(2, dtype=np.float32)  # [H,W]
    rows, columns = (max(side // _PATCH, 1) for side in error.shape)
    height, width = (side // count for side, count in zip(error.shape, (rows, columns), strict=True))
    means = error[: rows * height, : columns * width].reshape(rows, height, columns, width).mean((1, 3))
    return max(float(np.abs(np.diff(means, axis=axis)).max(initial=0)) for axis in (0, 1))


def _highest_step(error: np.ndarray, scene: np.ndarray) -> float:
    """Over all vertical lines of f32[H,W]."""
    height, width = error.shape
    if width < 2 * _SIDE:
        return 0.0
    highest = 0.0
    run = min(_RUN, height)
    for top in [*range(0, height - run, run // 2 or 1), height - run]:
        steps, own = (np.abs(np.median(_steps(plane[top : top + run]), axis=0)) for plane in (error, scene))
        highest = max(highest, float(steps[own < _OWN_EDGE].max(initial=0)))
    return highest


def _steps(plane: np.ndarray) -> np.ndarray:
    """f32[n,W] → f32[n,W−7]: mean of 4 px to the right of each place minus mean of 4 px to its left."""
    sums = np.cumsum(np.pad(plane, ((0, 0), (1, 0))), axis=1, dtype=np.float64)
    means = (sums[:, _SIDE:] - sums[:, :-_SIDE]) / _SIDE  # [n,W−3]
    return means[:, _SIDE:] - means[:, :-_SIDE]
