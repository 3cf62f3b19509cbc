"""Do the experts and the transformer carry the restoration? What each costs when it is taken away, in dB.

Part of `python -m mimdit.benchmarks.routing_report`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from mimdit.benchmarks.table import TableContent
from mimdit.metrics import psnr
from mimdit.model.mimdit import MiMDiT
from mimdit.routing.freeze import freeze
from mimdit.routing.information import routing_information
from mimdit.routing.plan import GROUPS, RoutingPlan
from mimdit.routing.prior import family_of, prior_experts
from mimdit.routing.record import RouterStatistics
from mimdit.targets import DEGRADATIONS, DISPATCHER_CLASSES, Variant
from mimdit.train.config import TrainConfig
from mimdit.train.data import Batch, Examples, PhotoScales, batches, forced_experts

__all__ = [
    "Restore",
    "as_taken",
    "carried",
    "components",
    "decibels",
    "examples_of",
    "information",
    "led",
    "of_kinds",
    "places_found",
    "variant_parts",
    "whole",
]

Restore = Callable[[MiMDiT, Batch], Tensor]


def whole(model: MiMDiT, batch: Batch, steps: int = 1) -> Tensor:
    """The model as it is, in so many Euler steps."""
    return model(batch.image, batch.photo, steps=steps)


def as_taken(model: MiMDiT, batch: Batch) -> Tensor:
    """The degraded photo itself."""
    return batch.image


def without_branch(model: MiMDiT, batch: Batch) -> Tensor:
    """The MiM branch says nothing: no guidance for any layer, nothing added to the output."""
    degraded, skips = model.codec.encode(batch.image)
    guidance = model.guide(batch.image, degraded, batch.photo)
    silent = replace(
        guidance, layers=[torch.zeros_like(g) for g in guidance.layers], output=torch.zeros_like(guidance.output)
    )
    return model.codec.decode(model.sample(silent), degraded, batch.image, skips).clamp(0, 1)


def led(model: MiMDiT, batch: Batch) -> Tensor:
    """Every photo by the sub-experts that its degradation was taught with, whatever the routers say."""
    degraded, skips = model.codec.encode(batch.image)
    forced = forced_experts(batch.families, model.shape.branch_blocks)
    guidance = model.guide(batch.image, degraded, batch.photo, forced)
    return model.codec.decode(model.sample(guidance), degraded, batch.image, skips).clamp(0, 1)


def degraded_latent(model: MiMDiT, batch: Batch) -> Tensor:
    """The codec decodes the degraded photo's own latent: no transformer, no branch."""
    degraded, skips = model.codec.encode(batch.image)
    return model.codec.decode(degraded, degraded, batch.image, skips).clamp(0, 1)


@torch.inference_mode()
def decibels(model: MiMDiT, examples: Iterable[Batch], restore: Restore = whole) -> dict[str, float]:
    """Mean PSNR per degradation."""
    found: dict[str, list[float]] = defaultdict(list)
    for batch in examples:
        restored = restore(model, batch)
        for i, kind in enumerate(batch.kinds):
            found[kind].append(psnr(restored[i].numpy(), batch.truth[i].numpy()))
    return {kind: float(np.mean(values)) for kind, values in found.items()}


def examples_of(scales: PhotoScales, indices: list[int], tile: int, each: int, seed: int) -> list[Batch]:
    """`each` tiles of every degradation from these photos, one of each kind a batch."""
    config = TrainConfig(objective="distill", steps=1, batch=len(DEGRADATIONS), tile=tile, views=(1, 2), seed=seed)
    return list(batches(Examples(scales, indices, config, DEGRADATIONS), 0, each, config.batch))


def of_kinds(examples: Sequence[Batch], kinds: Sequence[str]) -> list[Batch]:
    """The examples of these kinds alone."""
    kept = []
    for batch in examples:
        rows = [i for i, kind in enumerate(batch.kinds) if kind in kinds]
        if rows:
            names = [batch.kinds[i] for i in rows]
            kept.append(Batch(batch.image[rows], batch.truth[rows], batch.photo[rows], batch.families[rows], names))
    return kept


def components(student: MiMDiT, plans: Mapping[Variant, RoutingPlan], examples: Sequence[Batch]) -> TableContent:
    """What branch, restored latent and own plan are worth, per degradation, on the student's weights without tuning."""
    own = {family: decibels(freeze(student, plans[family]).eval(), examples) for family in DISPATCHER_CLASSES}
    before, dynamic = decibels(student, examples, as_taken), decibels(student, examples)
    silent, undone = decibels(student, examples, without_branch), decibels(student, examples, degraded_latent)
    rows = []
    for kind in DEGRADATIONS:
        family = DISPATCHER_CLASSES[family_of(kind)]
        others = [own[name][kind] for name in DISPATCHER_CLASSES if name != family]
        frozen = own[family][kind]
        losses = (silent[kind] - dynamic[kind], undone[kind] - dynamic[kind], frozen - dynamic[kind])
        against = (*losses, max(others) - frozen, float(np.mean(others)) - frozen)
        rows.append((kind, f"{before[kind]:.2f}", f"{dynamic[kind]:.2f}", *(f"{value:+.2f}" for value in against)))
    heads = "input", "dynamic", "branch off", "degraded latent", "own plan", "best other plan", "mean other plan"
    return TableContent("What each part is worth", ("degradation", *heads), tuple(rows))


def carried(parts: TableContent) -> TableContent:
    """What was set out of the parts, held against the rows of `components`: of how many kinds each costs how much."""
    place = {head: i for i, head in enumerate(parts.columns)}
    wanted = (
        ("branch off", 0.5, DEGRADATIONS, 3),
        ("degraded latent", 1.0, ("haze", "lowlight"), 2),
        ("best other plan", 0.3, DEGRADATIONS, 3),
    )
    rows = []
    for head, least, kinds, count in wanted:
        found = [row[0] for row in parts.rows if row[0] in kinds and -float(row[place[head]]) >= least]
        where = " and ".join(kinds) if len(kinds) == count else f"at least {count}"
        reached = "yes" if len(found) >= count else "no"
        rows.append((f"{head}: {least} dB on {where}", ", ".join(found) or "none", reached))
    return TableContent("Set out", ("set out to cost", "does on", "reached"), tuple(rows))


def variant_parts(variants: Mapping[Variant, MiMDiT], examples: Sequence[Batch]) -> TableContent:
    """What branch and restored latent are worth to each degradation's own variant, as it is."""
    rows = []
    for kind in DEGRADATIONS:
        model, own = variants[DISPATCHER_CLASSES[family_of(kind)]].eval(), of_kinds(examples, [kind])
        ways = (as_taken, whole, without_branch, degraded_latent)
        before, restored, *less = (decibels(model, own, way)[kind] for way in ways)
        rows.append((kind, f"{before:.2f}", f"{restored:.2f}", *(f"{value - restored:+.2f}" for value in less)))
    heads = "input", "its variant", "branch off", "degraded latent"
    return TableContent("What each part is worth to a variant", ("degradation", *heads), tuple(rows))


def places_found(statistics: RouterStatistics) -> TableContent:
    """How many of its places, a sub-expert in each group of each MiM block, routers find for a photo as taught."""
    row: list[str] = []
    for kind in DEGRADATIONS:
        chosen = statistics.of([kind]).chosen[..., 0]  # [N,M,4]
        right = chosen == prior_experts(family_of(kind), chosen.shape[1])
        row.append(f"{right.mean():.0%}" if len(right) else "–")
    return TableContent("Sub-experts chosen as taught", ("", *DEGRADATIONS), (("chosen as taught", *row),))


def information(statistics: RouterStatistics) -> TableContent:
    """Mutual information of degradation and chosen sub-expert, in bits, at every MiM block and group."""
    known = routing_information(statistics)
    title = (
        f"Degradation: {known.kinds:.2f} bits. Shuffled: {known.chance.mean():.3f} bits in the mean; "
        f"permutation test p = {known.p:.3f}"
    )
    rows = tuple((str(b), *(f"{bits:.2f}" for bits in block)) for b, block in enumerate(known.bits))
    return TableContent(title, ("MiM block", *GROUPS), rows)
