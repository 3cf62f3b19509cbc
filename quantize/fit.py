"""The best bundle within limits of size, time and loss: from measured points, or which limit makes it impossible."""

from collections.abc import Sequence
from dataclasses import dataclass

from mimdit.targets import Precision

__all__ = ["Candidate", "Limits", "fit", "missed"]


@dataclass(frozen=True)
class Candidate:
    """A measured point: MB of a variant's files, ms a tile, dB lost against fp32 at its tile size where most is."""

    precision: Precision
    tile: int
    steps: int
    megabytes: float
    milliseconds: float
    drop: float
    psnr: float  # mean dB over the validation tiles

    @property
    def per_megapixel(self) -> float:
        """ms a megapixel: what makes tile sizes comparable."""
        return 1e6 * self.milliseconds / self.tile**2


@dataclass(frozen=True)
class Limits:
    """At most so many MB, ms a tile and dB lost; None is no limit."""

    megabytes: float | None = None
    milliseconds: float | None = None
    drop: float | None = None

    def misses(self, point: Candidate) -> dict[str, float]:
        """By how much a point is over each limit; empty where it is within all."""
        limits = {
            "MB": (self.megabytes, point.megabytes),
            "ms": (self.milliseconds, point.milliseconds),
            "dB": (self.drop, point.drop),
        }
        return {name: found - limit for name, (limit, found) in limits.items() if limit is not None and found > limit}


def fit(points: Sequence[Candidate], limits: Limits) -> Candidate | None:
    """The point within all limits that restores best; of equals (to 0.01 dB) the fastest. None where there is none."""
    within = [point for point in points if not limits.misses(point)]
    return max(within, key=lambda point: (round(point.psnr, 2), -point.per_megapixel), default=None)


def missed(points: Sequence[Candidate], limits: Limits) -> str:
    """Why nothing fits: the one limit whose lifting would help most, and by how much the nearest point is over it."""
    nearest = min(points, key=lambda point: (len(limits.misses(point)), sum(_shares(point, limits))))
    over = limits.misses(nearest)
    words = " and ".join(f"{amount:.3g} {unit} over" for unit, amount in over.items())
    found = f"{nearest.megabytes:.2f} MB, {nearest.milliseconds:.1f} ms, {nearest.drop:.3f} dB lost"
    return (
        f"nothing measured is within the limits; nearest is {nearest.precision} at tile {nearest.tile}, "
        f"{nearest.steps} steps ({found}): {words}"
    )


def _shares(point: Candidate, limits: Limits) -> list[float]:
    """How far over each missed limit, as a share of it, so that MB, ms and dB can be added up."""
    all_limits = {"MB": limits.megabytes, "ms": limits.milliseconds, "dB": limits.drop}
    return [amount / (all_limits[unit] or 1) for unit, amount in limits.misses(point).items()]
