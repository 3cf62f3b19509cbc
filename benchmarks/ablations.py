"""Do the experts and the transformer carry the restoration? What each costs when it is taken away, in dB.

    python -m mimdit.benchmarks.ablations STUDENT VARIANTS PHOTOS

STUDENT is the model folder of a dynamic one-step student, VARIANTS the folder of its frozen variants (for their plans),
PHOTOS the training photos, of which only the part kept for validation is looked at. Prints Markdown on stdout.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mimdit.metrics import psnr
from mimdit.model.checkpoint import load_model
from mimdit.model.mimdit import MiMDiT
from mimdit.routing.freeze import freeze
from mimdit.routing.information import routing_information
from mimdit.routing.plan import RoutingPlan
from mimdit.routing.prior import family_of
from mimdit.routing.record import record_routing
from mimdit.targets import DEGRADATIONS, DISPATCHER_CLASSES
from mimdit.train.config import TrainConfig
from mimdit.train.data import Batch, Examples, PhotoScales, batches

EXAMPLES = 24  # of each degradation
TILE = 256

Restore = Callable[[MiMDiT, Batch], Tensor]


def whole(model: MiMDiT, batch: Batch) -> Tensor:
    """The model as it is."""
    return model(batch.image, batch.photo)


def without_branch(model: MiMDiT, batch: Batch) -> Tensor:
    """The MiM branch says nothing: no guidance for any layer, nothing added to the output."""
    degraded, skips = model.codec.encode(batch.image)
    guidance = model.guide(batch.image, degraded, batch.photo)
    silent = replace(
        guidance, layers=[torch.zeros_like(g) for g in guidance.layers], output=torch.zeros_like(guidance.output)
    )
    return model.codec.decode(model.sample(silent), degraded, batch.image, skips).clamp(0, 1)


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


def main(student: Path, variants: Path, photos: Path) -> None:
    config = TrainConfig(objective="distill", steps=1, batch=len(DEGRADATIONS), tile=TILE, views=(1, 2), seed=2)
    scales = PhotoScales(photos, student.parent.parent / ".photo-cache")
    kept_out = scales.split(config.validation_photos)[1]
    examples = list(batches(Examples(scales, kept_out, config, DEGRADATIONS), 0, EXAMPLES, config.batch))
    model = load_model(student).eval()

    own = {}
    for family in DISPATCHER_CLASSES:
        plan = RoutingPlan.model_validate_json((variants / family / "plan.json").read_bytes())
        own[family] = decibels(freeze(model, plan).eval(), examples)
    dynamic = decibels(model, examples)
    silent, undone = decibels(model, examples, without_branch), decibels(model, examples, degraded_latent)
    rows = []
    for kind in DEGRADATIONS:
        family = DISPATCHER_CLASSES[family_of(kind)]
        others = [own[name][kind] for name in DISPATCHER_CLASSES if name != family]
        frozen = own[family][kind]
        losses = (silent[kind] - dynamic[kind], undone[kind] - dynamic[kind], frozen - dynamic[kind])
        rows.append((kind, dynamic[kind], *losses, max(others) - frozen, float(np.mean(others)) - frozen))
    heads = "dynamic", "branch off", "degraded latent", "own plan", "best other plan", "mean other plan"
    lines = [f"| degradation | {' | '.join(heads)} |", "| --- |" + " ---: |" * len(heads)]
    lines += [
        f"| {kind} | {first:.2f} | " + " | ".join(f"{v:+.2f}" for v in rest) + " |" for kind, first, *rest in rows
    ]
    known = routing_information(record_routing(model, examples))
    lines += [
        "",
        f"dB over {EXAMPLES} tiles of {TILE} px of each degradation. Branch off, degraded latent and own plan against",
        "dynamic routing; other plans against the own plan, all on the student's weights, without any tuning.",
        "",
        f"Mutual information of degradation ({known.kinds:.2f} bits) and chosen sub-expert, bits at each block and",
        f"group (shuffled: mean {known.chance.mean():.3f}, permutation test p = {known.p:.3f}):",
        "",
        *(f"- block {b}: " + ", ".join(f"{bits:.2f}" for bits in block) for b, block in enumerate(known.bits)),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
