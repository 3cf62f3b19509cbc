"""Regret: what dynamic routing would have made of a photo that a frozen variant restored, and which plan fits."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mimdit.benchmarks.torch_models import TorchRuntime, restore_photo
from mimdit.errors import CheckpointError
from mimdit.metrics import psnr
from mimdit.model.checkpoint import load_model
from mimdit.model.mimdit import MiMDiT
from mimdit.model.moe import Routing
from mimdit.pixels import to_unit
from mimdit.routing.plan import GROUPS, RoutingPlan
from mimdit.targets import SETS_LIGHT, VARIANTS, Variant

__all__ = ["Fit", "Regret", "load_variants", "photo_regret"]


@dataclass(frozen=True)
class Fit:
    """One frozen variant on one photo, beside dynamic routing that is held to the whole-photo view where it is.

    agreement: share of the dynamic routers' choices (tiles × MiM blocks × groups) that its plan keeps, 0..1.
    change: mean difference of its picture from the dynamic one, in levels of 255. decibels, dynamic: PSNR of both, null
    without a truth.
    """

    agreement: float
    change: float
    decibels: float | None
    dynamic: float | None

    @property
    def regret(self) -> float | None:
        """What dynamic routing would have gained, in dB; null without a truth."""
        return None if self.dynamic is None or self.decibels is None else self.dynamic - self.decibels


@dataclass(frozen=True)
class Regret:
    """One photo: how each variant fits."""

    fits: dict[Variant, Fit]

    @property
    def best(self) -> Variant:
        """The variant to use: the highest PSNR, or without a truth the plan that keeps most of the choices."""
        return max(self.fits, key=lambda name: (self.fits[name].decibels or 0.0, self.fits[name].agreement))


@contextmanager
def _watched(model: MiMDiT) -> Iterator[list[np.ndarray]]:
    """What the model's routers choose inside the block: i64[blocks,4,k] for every tile."""
    chosen: list[np.ndarray] = []

    def note(branch: torch.nn.Module, inputs: object, outputs: tuple[object, object, list[Routing]]) -> None:
        chosen.append(torch.stack([routing.chosen[0] for routing in outputs[2]]).numpy())

    hook = model.branch.register_forward_hook(note)
    try:
        yield chosen
    finally:
        hook.remove()


def load_variants(folder: Path) -> dict[Variant, MiMDiT]:
    """The frozen variants in a folder, as `mimdit freeze` leaves it. Raises CheckpointError, also if there are none."""
    names: list[Variant] = [name for name in VARIANTS if (folder / name / "model").is_dir()]
    if not names:
        raise CheckpointError(f"no frozen variants in {folder}: expected folders such as denoise/model")
    return {name: load_model(folder / name / "model").eval() for name in names}


def photo_regret(
    photo: np.ndarray, truth: np.ndarray | None, student: MiMDiT, variants: dict[Variant, MiMDiT]
) -> Regret:
    """Restore u8[H,W,3] by dynamic routing and by every variant; `truth` is of the same size."""
    runtime = TorchRuntime(student, steps=1)
    with _watched(student) as chosen:  # while tiles are not held to a view, which would be watched as one of them
        free = restore_photo(photo, runtime, "denoise")
    held = restore_photo(photo, runtime, "general") if SETS_LIGHT.intersection(variants) else free
    fits = {}
    for name, model in variants.items():
        plan = model.shape.plan
        assert plan is not None
        frozen = restore_photo(photo, TorchRuntime(model, steps=1), name)
        dynamic = held if name in SETS_LIGHT else free
        change = float(np.abs(frozen.astype(np.float32) - dynamic).mean())
        fits[name] = Fit(_agreement(plan, chosen), change, _decibels(frozen, truth), _decibels(dynamic, truth))
    return Regret(fits)


def _agreement(plan: RoutingPlan, chosen: Sequence[np.ndarray]) -> float:
    kept = [[{e.expert for e in block.experts if e.group == group} for group in GROUPS] for block in plan.blocks]
    hits = [
        expert in kept[b][g]
        for tile in chosen
        for b, block in enumerate(tile)
        for g, k in enumerate(block)
        for expert in k
    ]
    return sum(hits) / len(hits)


def _decibels(restored: np.ndarray, truth: np.ndarray | None) -> float | None:
    return None if truth is None else psnr(to_unit(restored), to_unit(truth))
