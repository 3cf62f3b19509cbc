"""Regret over many tiles whose truth is known: own variant, dynamic routing, and the best variant of all."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from mimdit.benchmarks.table import TableContent
from mimdit.metrics import psnr
from mimdit.model.mimdit import MiMDiT
from mimdit.routing.prior import family_of
from mimdit.targets import DEGRADATIONS, DISPATCHER_CLASSES, Variant
from mimdit.train.data import Batch

__all__ = ["tile_regret"]

_BETTER = 0.1  # dB


@torch.inference_mode()
def tile_regret(student: MiMDiT, variants: Mapping[Variant, MiMDiT], examples: Sequence[Batch]) -> TableContent:
    """One row a degradation, over its tiles: dB, differences in dB, and which variant was best most often."""
    found: dict[str, list[tuple[float, dict[Variant, float]]]] = defaultdict(list)
    for batch in examples:
        dynamic = student(batch.image, batch.photo)
        frozen: dict[Variant, torch.Tensor] = {
            name: model(batch.image, batch.photo) for name, model in variants.items()
        }
        for i, kind in enumerate(batch.kinds):
            truth = batch.truth[i].numpy()
            each: dict[Variant, float] = {name: psnr(restored[i].numpy(), truth) for name, restored in frozen.items()}
            found[kind].append((psnr(dynamic[i].numpy(), truth), each))
    heads = "own variant", "dynamic − own", "another better", "best − own", "best most often"
    rows = tuple(_row(kind, found[kind]) for kind in DEGRADATIONS)
    return TableContent("Regret", ("degradation", *heads), rows)


def _row(kind: str, tiles: Sequence[tuple[float, dict[Variant, float]]]) -> tuple[str, ...]:
    family = DISPATCHER_CLASSES[family_of(kind)]  # pyright: ignore[reportArgumentType]
    own = np.array([each[family] for _, each in tiles])
    dynamic = np.array([value for value, _ in tiles])
    best = np.array([max(each.values()) for _, each in tiles])
    winners = [max(each, key=lambda name: each[name]) for _, each in tiles]
    often = Counter(winners).most_common(1)[0][0]
    return (
        kind,
        f"{own.mean():.2f}",
        f"{(dynamic - own).mean():+.2f}",
        f"{(best - own > _BETTER).mean():.0%}",
        f"{(best - own).mean():+.2f}",
        often,
    )
