"""Energy meters: what a restored photo costs in joules, by every meter that this machine has.

One more meter is one more file here and one more entry of `METERS`.
"""

import time
from collections.abc import Callable, Sequence

from mimdit.benchmarks.meters.android import AndroidMeter
from mimdit.benchmarks.meters.jetson import JetsonMeter
from mimdit.benchmarks.meters.meter import Meter
from mimdit.benchmarks.meters.nvml import NvmlMeter
from mimdit.benchmarks.meters.powermetrics import PowermetricsMeter
from mimdit.benchmarks.meters.rapl import RaplMeter
from mimdit.benchmarks.run_file import Energy

__all__ = ["METERS", "measure_energy"]

METERS: tuple[Callable[[], Meter], ...] = (RaplMeter, NvmlMeter, JetsonMeter, PowermetricsMeter, AndroidMeter)


def measure_energy(
    restore: Callable[[], tuple[int, float]], meters: Sequence[Callable[[], Meter]] = METERS
) -> tuple[Energy, ...]:
    """Every meter's figure, or why there is none. `restore` works once, and only if some meter can watch it; it
    returns how many photos and megapixels it restored."""
    made = [make() for make in meters]
    hindrances = [meter.hindrance() for meter in made]
    watching = [meter for meter, hindrance in zip(made, hindrances, strict=True) if hindrance is None]
    found: dict[str, float | str] = {}
    photos, megapixels, seconds = 0, 0.0, 0.0
    if watching:
        for meter in watching:
            meter.start()
        began = time.perf_counter()
        photos, megapixels = restore()
        seconds = time.perf_counter() - began
        found = {meter.name: _stopped(meter) for meter in watching}
    return tuple(
        _energy(meter.name, found.get(meter.name, hindrance or ""), seconds, photos, megapixels)
        for meter, hindrance in zip(made, hindrances, strict=True)
    )


def _stopped(meter: Meter) -> float | str:
    """Joules, or why there are none after all: a counter that fails must not cost the rest of a long run."""
    try:
        return meter.stop()
    except (OSError, ValueError) as error:
        return f"failed under way: {error!s:.200}"


def _energy(meter: str, joules: float | str, seconds: float, photos: int, megapixels: float) -> Energy:
    """joules: a figure, or the reason why there is none."""
    if isinstance(joules, str):
        return Energy(meter=meter, reason=joules)
    if not photos:
        return Energy(meter=meter, reason="no photo was restored")
    return Energy(
        meter=meter,
        joules=joules,
        seconds=seconds,
        photos=photos,
        megapixels=megapixels,
        joules_per_photo=joules / photos,
        joules_per_megapixel=joules / megapixels,
    )
