"""Two bundles' times against each other, measured in turns on this machine, and what this machine cannot tell apart.

The old bundle runs twice in every round. What differs between it and itself is the A/A noise floor: a difference of
the new one that is not larger than that is none.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mimdit.benchmarks.gate_statistics import CONFIDENCE, Interval, judge, samples_needed
from mimdit.benchmarks.latency import noise_inputs, timings
from mimdit.benchmarks.statistics import median_interval
from mimdit.benchmarks.verdict import Finding
from mimdit.runtimes import open_runtime

if TYPE_CHECKING:
    from mimdit.bundle import Bundle
    from mimdit.targets import Variant

__all__ = ["ROUNDS", "Race", "judge_times", "race"]

ROUNDS = 200  # finds 5 % and raises no alarm on a machine whose times scatter by a tenth; a quiet one needs a fifth


class Race(NamedTuple):
    """What is said of it, and the seconds of every round: the old bundle's are of its first turn."""

    finding: Finding
    new: Sequence[float]
    old: Sequence[float]


def race(
    new: "Bundle",
    old: "Bundle",
    variant: "Variant",
    tolerance: float,
    *,
    rounds: int = ROUNDS,
    threads: int | None = None,
    advance: Callable[[], object] = lambda: None,
) -> Race:
    """Time a tile of one variant through both. Raises BundleError where a bundle has no such variant."""
    tile = new.entry(variant).tile
    image, photo = noise_inputs(tile, np.random.default_rng(0))
    runtimes = [open_runtime(bundle, variant, tile=tile, threads=threads) for bundle in (new, old, old)]
    calls = [partial(runtime.run, image, photo) for runtime in runtimes]
    first, second, third = timings(calls, samples=rounds, advance=advance)
    finding = judge_times(f"a tile, {variant}", first.seconds, second.seconds, third.seconds, tolerance)
    return Race(finding, first.seconds, second.seconds)


def judge_times(
    subject: str, new: Sequence[float], old: Sequence[float], again: Sequence[float], tolerance: float
) -> Finding:
    """Seconds of [n] rounds each: the new bundle, the old one, the old one again."""
    logs = [np.log(np.asarray(seconds, np.float64)) for seconds in (new, old, again)]
    # Paired by round, so that a slow minute cancels out; the old one's two times are two looks at one thing.
    interval = _median((logs[1] + logs[2]) / 2 - logs[0])
    floor = _median(logs[2] - logs[1])
    noise = max(abs(floor.low), abs(floor.high)) if floor else 0.0
    outcome = judge(interval, tolerance, min(noise, tolerance))
    inconclusive = outcome == "inconclusive"
    needed = samples_needed(interval, len(new), tolerance) if interval else _FEWEST
    return Finding(
        check="latency",
        subject=subject,
        outcome=outcome,
        unit="ms",
        baseline=round(1e3 * float(np.median([old, again])), 4),
        value=round(1e3 * float(np.median(new)), 4),
        change=interval and interval.middle,
        low=interval and interval.low,
        high=interval and interval.high,
        tolerance=tolerance,
        samples=len(new),
        needed=needed if inconclusive else None,
        note=f"A/A noise floor ±{100 * noise:.1f} %" if floor else "too few rounds for an interval of the median",
    )


_FEWEST = 20  # rounds; the interval of a median needs 11 at 99.9 %, and one that is worth having some more


def _median(values: np.ndarray) -> Interval | None:
    """The interval of the median of [n] relative differences, by ranks: no distribution is assumed."""
    ends = median_interval(values.tolist(), CONFIDENCE) if len(values) >= _FEWEST else None
    if ends is None:
        return None
    low, middle, high = (round(float(end), 6) for end in (ends[0], np.median(values), ends[1]))
    return Interval(low, middle, high)
