"""The sustained curve: what minutes of work do to the time of one sample, as the machine heats up."""

from dataclasses import dataclass
from statistics import median

from mimdit.benchmarks.run_file import Samples

__all__ = ["Sustained", "sustained"]

_MINUTE = 60.0
_THROTTLED = 1.05  # times the first minute's median
_FEWEST = 2  # minutes that make a curve


@dataclass(frozen=True)
class Sustained:
    """minutes: median seconds of a sample begun in each minute · throttled_at: the first minute, counted from 1, from
    which all are 5 % above the first; None: none did."""

    minutes: tuple[float, ...]
    throttled_at: int | None

    @property
    def slowdown(self) -> float:
        """The last minute over the first."""
        return self.minutes[-1] / self.minutes[0]


def sustained(samples: Samples) -> Sustained | None:
    """None where the samples span less than two minutes."""
    if not samples.began or samples.began[-1] < _FEWEST * _MINUTE - samples.seconds[-1] - 1:
        return None
    bins: dict[int, list[float]] = {}
    for began, seconds in zip(samples.began, samples.seconds, strict=True):
        bins.setdefault(int(began // _MINUTE), []).append(seconds)
    minutes = tuple(median(bins[minute]) for minute in sorted(bins))
    slow = [value > _THROTTLED * minutes[0] for value in minutes]
    first = next((i for i in range(len(slow)) if all(slow[i:])), None)
    return Sustained(minutes, None if first is None else first + 1)
