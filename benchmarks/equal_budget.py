"""What each layer of the mixture is worth: a plain transformer, + Inter-MoE, + Inter-MoE and Intra-MoE, equal budgets.

The last is measured twice: with its routers, and frozen to the plan that they choose most often for a degradation.

All three begin with the codec of stage 1 and everything else afresh; all of it is trained on the same photos and draws
for the same time, by default that of 360 steps, a tenth of the student's. Of a network with routers a sixth of the time
is theirs alone: what they choose among learns nothing from photos that they mistake. PSNR is of the photos kept for
validation. Part of `python -m mimdit.benchmarks.routing_report`.
"""

from collections.abc import Sequence
from pathlib import Path

from mimdit.benchmarks.ablations import decibels, of_kinds
from mimdit.benchmarks.table import TableContent
from mimdit.config import ModelConfig, preset
from mimdit.model.checkpoint import load_model, save_model
from mimdit.model.mimdit import MiMDiT
from mimdit.routing.freeze import freeze, make_plan
from mimdit.routing.record import record_routing
from mimdit.targets import DEGRADATIONS, DISPATCHER_CLASSES, VARIANT_DEGRADATIONS
from mimdit.train.config import TrainConfig
from mimdit.train.data import Batch, Examples, PhotoScales, batches
from mimdit.train.loop import train

__all__ = ["EXAMPLES", "STEPS", "TILE", "equal_budget"]

STEPS = 360
ROUTER_STEPS = 5  # of the routers alone in the time of one of the whole network; most of it makes the examples
EXAMPLES = 24  # of each degradation
TILE = 128  # px, as in training: routers were not tuned for another

_SMALL = preset("small")
FROZEN = "the same, frozen"
SHAPES: dict[str, ModelConfig] = {
    "plain DiT": _SMALL.model_copy(update={"branch_blocks": 0}),
    "+ Inter-MoE": _SMALL.model_copy(update={"experts": 1}),
    "+ Inter-MoE and Intra-MoE": _SMALL,
}


def equal_budget(codec: Path, photos: Path, out: Path, steps: int = STEPS) -> TableContent:
    """Train the three (or go on with what lies in `out`); set the second and third against the first, in dB, and the
    third once more without its routers, frozen to each degradation's own plan."""
    models = {
        name: _trained(shape, codec, photos, out / f"{steps}-{name.strip('+ ').replace(' ', '-')}", steps)
        for name, shape in SHAPES.items()
    }
    scales = PhotoScales(photos, out / ".photo-cache")
    shown = TrainConfig(objective="distill", steps=1, batch=len(DEGRADATIONS), tile=TILE, seed=2)
    training, kept_out = scales.split(shown.validation_photos)
    known, examples = (
        list(batches(Examples(scales, indices, shown, DEGRADATIONS), 0, EXAMPLES, shown.batch))
        for indices in (training, kept_out)
    )
    scores = {name: decibels(model, examples) for name, model in models.items()}
    first, *_, last = SHAPES
    scores[FROZEN] = _frozen(models[last], known, examples)
    for column in scores.values():
        column["mean"] = sum(column.values()) / len(column)
    others = [name for name in scores if name != first]
    rows = tuple(
        (kind, f"{plain:.2f}", *(f"{scores[name][kind] - plain:+.2f}" for name in others))
        for kind, plain in scores[first].items()
    )
    return TableContent("Equal budgets", ("degradation", *scores), rows)


def _frozen(model: MiMDiT, known: Sequence[Batch], examples: Sequence[Batch]) -> dict[str, float]:
    """PSNR per degradation, each by its own plan, made from what the routers choose for `known` examples."""
    seen = record_routing(model, known)
    found: dict[str, float] = {}
    for name in DISPATCHER_CLASSES:
        kinds = VARIANT_DEGRADATIONS[name]
        found |= decibels(freeze(model, make_plan(name, seen.of(kinds))), of_kinds(examples, kinds))
    return {kind: found[kind] for kind in DEGRADATIONS}


def _trained(shape: ModelConfig, codec: Path, photos: Path, out: Path, steps: int) -> MiMDiT:
    routed = shape.branch_blocks > 0 and shape.experts > 1
    start = out / "start"
    if not start.is_dir():
        model = MiMDiT.from_preset(shape)
        model.codec.load_state_dict(load_model(codec).codec.state_dict())
        save_model(model, start)
    common = {"batch": 8, "tile": TILE, "warmup": 30, "ema": 0.99}
    if routed:
        share = steps // 6
        steps, alone = steps - share, max(1, share * ROUTER_STEPS)
        taught = TrainConfig(
            objective="routers", start=start, steps=alone, learning_rate=2e-3, evaluate_every=alone, seed=1, **common
        )
        start = train(taught, photos, out / "routers", way="bf16 eager", cache=out.parent / ".photo-cache")
    config = TrainConfig(
        objective="distill",
        start=start,
        steps=steps,
        learning_rate=8e-4,
        forced_steps=steps * 5 // 6 if routed else 0,
        taught_steps=steps if routed else 0,
        evaluate_every=steps,
        **common,
    )
    return load_model(train(config, photos, out / "run", way="bf16 eager", cache=out.parent / ".photo-cache")).eval()
