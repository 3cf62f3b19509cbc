"""Runs that a gate tells apart, made of whole cloth: a baseline of two degradations, and what became of it."""

from collections.abc import Mapping

import numpy as np

from mimdit.benchmarks.run_file import Run

from .run_files import a_run

NOISE = {("noise", f"photo {i}"): 30.0 + i % 5 for i in range(40)}
HAZE = {("haze", f"photo {i}"): 21.0 + i % 7 for i in range(40)}
BASE = a_run({**NOISE, **HAZE})


def changed(run: Run, **fields: object) -> Run:
    """The run with fields of its only result replaced."""
    return run.model_copy(update={"results": (run.results[0].model_copy(update=fields),)})


def shifted(loss: float, photos: Mapping[tuple[str, str], float] = NOISE, scatter: float = 0.02) -> Run:
    """Every photo worse by `loss` dB, give or take."""
    rng = np.random.default_rng(0)
    return a_run(
        {**NOISE, **HAZE, **{k: v - loss + rng.normal(0, scatter) for k, v in photos.items()}}, bundle="cd" * 8
    )
