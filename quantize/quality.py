"""What a file makes of validation tiles, and how long it takes: measured in its own runtime, never simulated."""

import time
from collections import defaultdict
from collections.abc import Sequence
from statistics import mean, median
from typing import NamedTuple

from mimdit.metrics import psnr
from mimdit.quantize.calibration import Tile
from mimdit.runtimes.base import Runtime

__all__ = ["SLOWER", "Times", "allowance", "decibels", "drops", "times"]

SLOWER = 1.05  # times the latency of fp32: from here on a file is smaller but slower
_WARMUP = 3


class Times(NamedTuple):
    """Median milliseconds a tile of a file and of its fp32 twin, measured in turns."""

    milliseconds: float
    twin: float

    @property
    def speedup(self) -> float:
        return self.twin / self.milliseconds

    @property
    def is_slower(self) -> bool:
        return self.milliseconds > SLOWER * self.twin


def decibels(runtime: Runtime, tiles: Sequence[Tile]) -> dict[str, float]:
    """Degradation → mean PSNR in dB against the truth."""
    found: dict[str, list[float]] = defaultdict(list)
    for tile in tiles:
        found[tile.kind].append(psnr(runtime.run(tile.image, tile.photo), tile.truth))
    return {kind: mean(values) for kind, values in found.items()}


def drops(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Degradation → dB lost; negative where a file happens to be better."""
    return {kind: round(before[kind] - after[kind], 4) for kind in before}


def allowance(max_drop: float, before: float) -> float:
    """What may be lost of a PSNR: `max_drop`, twice as much above 36 dB, where errors are too small to be seen."""
    return max_drop * (2 if before > 36 else 1)


def times(runtime: Runtime, twin: Runtime, tile: Tile, rounds: int = 15) -> Times:
    """Both in turns, so that whatever else slows the machine meets both alike."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(_WARMUP + rounds):
        for place, each in enumerate((runtime, twin) if number % 2 else (twin, runtime)):
            began = time.perf_counter()
            each.run(tile.image, tile.photo)
            if number >= _WARMUP:
                seconds[place if number % 2 else 1 - place].append(time.perf_counter() - began)
    return Times(1e3 * median(seconds[0]), 1e3 * median(seconds[1]))
