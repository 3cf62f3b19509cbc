"""The fastest way to compute here: fp32 or bf16, eager or compiled, timed on real batches before training starts.

It has to be measured: where the CPU lacks bf16 instructions, bf16 took 11 times as long as fp32; elsewhere, less.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from mimdit.errors import CheckpointError
from mimdit.model.codec import EdgeCodec
from mimdit.model.mimdit import MiMDiT

TRIALS = 3


@dataclass(frozen=True)
class Way:
    """How a step is computed."""

    precision: str  # "no" or "bf16": accelerate's names
    compiled: bool

    @property
    def name(self) -> str:
        return f"{'bf16' if self.precision == 'bf16' else 'fp32'} {'compiled' if self.compiled else 'eager'}"

    @classmethod
    def named(cls, name: str) -> "Way":
        for way in WAYS:
            if way.name == name:
                return way
        raise CheckpointError(f"no way '{name}' to compute a step: choose one of {', '.join(w.name for w in WAYS)}")


WAYS = (Way("no", False), Way("bf16", False), Way("no", True), Way("bf16", True))


def apply_way(model: MiMDiT, way: Way) -> None:
    """Compile the parts with fixed shapes; the routed branch stays eager, since its shapes follow the routing."""
    if way.compiled and isinstance(model.codec, EdgeCodec):
        for part in (model.codec.encoder, model.codec.decoder, *model.backbone.transformer_blocks):
            part.compile()


def time_ways(make_step: Callable[[Way], Callable[[], None]]) -> dict[str, float]:
    """Seconds a step for every way, median of three after a warm-up. `make_step` returns the step of a fresh model."""
    seconds: dict[str, float] = {}
    for way in WAYS:
        torch._dynamo.reset()
        try:
            step = make_step(way)
            step()
            seconds[way.name] = statistics.median(_timed(step) for _ in range(TRIALS))
        except RuntimeError:  # no compiler, no bf16 kernel: that way is not open here
            if not way.compiled and way.precision == "no":
                raise
    return seconds


def _timed(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start
