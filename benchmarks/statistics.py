"""What may be said of a set of measured times: the median with its interval, and percentiles once there is enough.

Times of a shared machine have no distribution that anybody could name, so nothing here assumes one.
"""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

__all__ = ["ENOUGH", "median_interval", "percentile"]

# Percentile → how many samples it needs before it is said at all, as MLPerf LoadGen's early stopping asks.
ENOUGH = {90: 64, 99: 662}


def percentile(samples: Sequence[float], percent: int) -> float | None:
    """One of ENOUGH, by the nearest rank: a time that was really measured. None with too few samples."""
    if len(samples) < ENOUGH[percent]:
        return None
    return float(np.sort(samples)[math.ceil(len(samples) * percent / 100) - 1])


def median_interval(samples: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """The confidence interval of the median; None where there is none: below 6 samples at 95 %, 11 at 99.9 %.

    Between two ranks, which alone would cover up to 98 %, it is interpolated as Hettmansperger and Sheather (1986) do:
    covers what it says whatever the distribution, as near as makes no difference.
    """
    count = len(samples)
    if 2 * 0.5**count > 1 - confidence:
        return None
    rank, inside = _ranks(count, confidence)
    ordered = np.sort(np.asarray(samples, np.float64))
    low = (1 - inside) * ordered[rank - 1] + inside * ordered[rank]
    high = (1 - inside) * ordered[count - rank] + inside * ordered[count - rank - 1]
    return float(low), float(high)


@cache
def _ranks(count: int, confidence: float) -> tuple[int, float]:
    """Which rank from either end the interval reaches, and how far from there towards the next one inside."""
    k = np.arange(1, count // 2 + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log((count - k + 1) / k))]) - count * math.log(2)
    covered = 1 - 2 * np.cumsum(np.exp(logs))  # [r−1]: between the r-th smallest and the r-th largest sample
    rank = int(np.flatnonzero(covered >= confidence)[-1]) + 1
    wide, narrow = covered[rank - 1], covered[rank]
    share = (wide - confidence) / (wide - narrow)
    return rank, float((count - rank) * share / (rank + (count - 2 * rank) * share))
