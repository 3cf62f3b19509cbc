"""Times of several things that take turns: warmed up until they have settled, interleaved, every sample kept.

Taking turns in a shuffled order is what makes them comparable: whatever else slows the machine meets all of them alike.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from mimdit.runtimes.base import PHOTO_SHAPE

__all__ = ["Timing", "noise_inputs", "rounds", "settled", "timer_cost", "timings", "warm_up"]

_WINDOW = 5  # samples that are compared with the same number before them
_SETTLED = 0.05  # their medians differ by less than this share
_PATIENCE = 60  # samples after which a machine that never settles is measured all the same, and said not to be steady


def noise_inputs(tile: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """f32[1,3,tile,tile] and f32[1,3,64,64] in 0..1: what a graph is given where only its time is asked for."""
    return rng.random((1, 3, tile, tile), np.float32), rng.random(PHOTO_SHAPE, np.float32)


@dataclass(frozen=True)
class Timing:
    """Times of one thing, in seconds: warm-up apart, samples with when they began (since the first of them all)."""

    warmup: tuple[float, ...]
    steady: bool
    seconds: tuple[float, ...]
    began: tuple[float, ...]


def timings(
    calls: Sequence[Callable[[], object]],
    *,
    samples: int,
    duration: float = 0.0,
    seed: int = 0,
    advance: Callable[[], object] = lambda: None,
) -> list[Timing]:
    """Warm up each call and then time them in turns: `samples` rounds, and more until `duration` seconds are over."""
    warm = [warm_up(call) for call in calls]
    found: list[list[tuple[float, float]]] = [[] for _ in calls]
    start = time.perf_counter()
    for number, order in enumerate(rounds(len(calls), seed)):
        if number >= samples and time.perf_counter() - start >= duration:
            break
        for i in order:
            call = calls[i]
            began = time.perf_counter()
            call()
            ended = time.perf_counter()
            found[i].append((began - start, ended - began))
        advance()
    return [
        Timing(warmup, steady, tuple(seconds for _, seconds in pairs), tuple(began for began, _ in pairs))
        for (warmup, steady), pairs in zip(warm, found, strict=True)
    ]


def rounds(count: int, seed: int) -> Iterator[list[int]]:
    """Endless: each round is every one of `count` once, in an order of its own."""
    shuffler = random.Random(seed)
    while True:
        order = list(range(count))
        shuffler.shuffle(order)
        yield order


def warm_up(call: Callable[[], object]) -> tuple[tuple[float, ...], bool]:
    """Call until the last five times are like the five before. Returns all times, and whether they settled."""
    times: list[float] = []
    while len(times) < _PATIENCE:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
        if settled(times):
            return tuple(times), True
    return tuple(times), False


def settled(times: Sequence[float]) -> bool:
    """Whether the last window is within 5 % of the one before it."""
    if len(times) < 2 * _WINDOW:
        return False
    late, early = median(times[-_WINDOW:]), median(times[-2 * _WINDOW : -_WINDOW])
    return abs(late - early) <= _SETTLED * early


def timer_cost() -> float:
    """Seconds that a sample holds besides the call that it times: the same steps around a call that does nothing."""
    return median(timings([lambda: None], samples=1000)[0].seconds)
