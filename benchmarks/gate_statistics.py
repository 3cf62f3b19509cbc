"""The mathematics of the gate: how sure a difference is, and what follows from it. numpy alone, no files, no clock.

Everything is judged by one rule. A *tolerance* is the smallest loss that matters; an interval says where the true
difference may lie (0 is equal, positive is better). A loss that is certain, where one as large as the tolerance is not
excluded, is a regression; a loss as large as the tolerance that is excluded is none; else more samples are needed.
So a small tolerance costs samples, never false alarms.

Figures are the same on every machine: differences are whole numbers of a small unit, so that sums are exact in float64
in whatever order a BLAS adds them up, and the resampling follows from the number of samples alone.
"""

import math
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import Literal

import numpy as np

__all__ = ["CONFIDENCE", "FEWEST", "Interval", "Outcome", "judge", "mean_interval", "samples_needed"]

Outcome = Literal["pass", "regressed", "improved", "inconclusive"]

CONFIDENCE = 0.999  # two-sided: ten figures of a report together raise a false alarm in 1 of 200 runs at the very most
FEWEST = 8  # samples; of fewer a resampling says nothing about what it has not seen

_UNIT = 1e-4  # to which differences are rounded: 0.0001 dB, as accuracy is recorded
_RESAMPLES = 10_000  # five of them lie beyond either end at 99.9 %


@dataclass(frozen=True)
class Interval:
    """Where a true difference may lie; `low` ≤ `middle` ≤ `high`."""

    low: float
    middle: float
    high: float


def mean_interval(differences: np.ndarray) -> Interval | None:
    """The interval of the mean of [n] paired differences, resampled; None of fewer than FEWEST.

    A percentile bootstrap, stretched to what Student's t asks of so few samples (Hesterberg 2015, "expanded
    percentile"): unstretched, it is a tenth too narrow at 10 samples.
    """
    low, middle, high = mean_intervals(np.asarray(differences, np.float64)[None])
    return Interval(low[0], middle[0], high[0]) if len(differences) >= FEWEST else None


def mean_intervals(differences: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[m,n] → low, middle, high, [m] each: `mean_interval` of many rows at once."""
    whole = np.rint(np.atleast_2d(differences) / _UNIT)
    count = whole.shape[1]
    middle = whole.sum(1) / count
    tail = round(_RESAMPLES * (1 - CONFIDENCE) / 2)
    low, high = np.empty_like(middle), np.empty_like(middle)
    for row in range(0, len(whole), 256):  # [256,_RESAMPLES] of float64 are 20 MB
        means = whole[row : row + 256] @ _weights(count) / count
        means.partition((tail - 1, _RESAMPLES - tail), axis=1)
        low[row : row + 256] = means[:, tail - 1]
        high[row : row + 256] = means[:, _RESAMPLES - tail]
    stretch = _stretch(count)
    ends = (middle + (low - middle) * stretch, middle, middle + (high - middle) * stretch)
    low, middle, high = (np.round(end) * _UNIT for end in ends)
    return low, middle, high


def judge(interval: Interval | None, tolerance: float, floor: float = 0.0) -> Outcome:
    """The one rule. `floor` is what differs between equals here (another instruction set, a noisy clock): less than it
    is neither loss nor gain. None, too few samples, is inconclusive.
    """
    if interval is None:
        return "inconclusive"
    if interval.high < -floor and interval.low <= -tolerance:
        return "regressed"
    if interval.low > floor and interval.high >= tolerance:
        return "improved"
    return "pass" if interval.low > -tolerance else "inconclusive"


def samples_needed(interval: Interval | None, count: int, tolerance: float) -> int:
    """How many samples an inconclusive figure would take, if more of them look like those that were seen."""
    if interval is None:
        return FEWEST
    # Either end must move: the lower above the tolerance, or the upper below zero. Width falls with the square root.
    room = max((tolerance + interval.middle) / max(interval.middle - interval.low, _UNIT), 0.0)
    certain = max(-interval.middle / max(interval.high - interval.middle, _UNIT), 0.0)
    reach = max(room, certain, 0.01)
    return max(math.ceil(count / reach**2), count + 1)


@cache
def _weights(count: int) -> np.ndarray:
    """f64[count,_RESAMPLES]: how often each sample is drawn in each resampling; always the same ones.

    RandomState, because numpy promises that its stream never changes; its successor's may.
    """
    draws = np.random.RandomState(count).randint(0, count, (_RESAMPLES, count))
    places = draws + np.arange(_RESAMPLES)[:, None] * count
    return np.bincount(places.ravel(), minlength=_RESAMPLES * count).reshape(_RESAMPLES, count).T.astype(np.float64)


def _stretch(count: int) -> float:
    """Student's t over the normal quantile, times what dividing by n instead of n − 1 takes off."""
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    freedom = max(count - 1, 1)
    # Hill's expansion: right to 2 % at 7 degrees of freedom, to 0.1 % from 20 on.
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return t / z * math.sqrt(count / freedom)
