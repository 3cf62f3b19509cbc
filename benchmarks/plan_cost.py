"""What two variants cost beside each other: dB on the shipped example photos, MB of weights, ms of a tile."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np

from mimdit.benchmarks.latency import noise_inputs, timings
from mimdit.bundle import Bundle
from mimdit.example_photos import EXAMPLES, read_examples
from mimdit.image import load
from mimdit.metrics import psnr
from mimdit.pixels import to_unit
from mimdit.runtimes import open_runtime
from mimdit.runtimes.restore import Restorer
from mimdit.targets import Variant

__all__ = ["Cost", "plan_costs"]

_HALF = 2  # bytes of a weight as bundles store it


@dataclass(frozen=True)
class Cost:
    """One variant: PSNR in dB of every example photo by its name, MB of weights in fp16, GMAC and ms of a tile."""

    decibels: dict[str, float]
    megabytes: float
    gmac: float
    milliseconds: float


def plan_costs(variants: Sequence[tuple[Bundle, Variant]], samples: int) -> list[Cost]:
    """Restore the examples with each; tiles are timed in turns, the median is kept. Raises MimditError."""
    rng = np.random.default_rng(0)
    calls = []
    for bundle, variant in variants:
        runtime = open_runtime(bundle, variant)
        calls.append(partial(runtime.run, *noise_inputs(runtime.tile, rng)))
    times = timings(calls, samples=samples)
    costs = []
    for (bundle, variant), timing in zip(variants, times, strict=True):
        entry = bundle.entry(variant)
        costs.append(
            Cost(_decibels(bundle, variant), _HALF * entry.parameters / 1e6, entry.gmac, 1e3 * median(timing.seconds))
        )
    return costs


def _decibels(bundle: Bundle, variant: Variant) -> dict[str, float]:
    restorer = Restorer(bundle)
    found = {}
    for example in read_examples(EXAMPLES):
        restored = restorer.restore(load(EXAMPLES / example.degraded).pixels, variant).pixels
        found[example.name] = psnr(to_unit(restored), to_unit(load(EXAMPLES / example.truth).pixels))
    return found
