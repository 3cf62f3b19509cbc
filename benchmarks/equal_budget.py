"""What each layer of the mixture is worth: a plain transformer, + Inter-MoE, + Inter-MoE and Intra-MoE, equal budgets.

The last is measured twice: as its routers choose, and with every photo led to the sub-experts that its degradation was
taught with, as the plans of frozen variants do. The difference is what so short a training leaves routers to mistake.

All three begin with the codec of stage 1 and everything else afresh; all of it is trained on the same photos and draws
for the same time, by default that of 360 steps, a tenth of the student's. Of a network with routers a sixth of the time
is theirs alone: what they choose among learns nothing from photos that they mistake. PSNR is of the photos kept for
validation. Part of `python -m mimdit.benchmarks.routing_report`.
"""

from pathlib import Path

from mimdit.benchmarks.ablations import decibels, led
from mimdit.benchmarks.table import TableContent
from mimdit.config import ModelConfig, preset
from mimdit.model.checkpoint import load_model, save_model
from mimdit.model.mimdit import MiMDiT
from mimdit.targets import DEGRADATIONS
from mimdit.train.config import TrainConfig
from mimdit.train.data import Examples, PhotoScales, batches
from mimdit.train.loop import train

__all__ = ["EXAMPLES", "STEPS", "TILE", "equal_budget"]

STEPS = 360
ROUTER_STEPS = 5  # of the routers alone in the time of one of the whole network; most of it makes the examples
EXAMPLES = 24  # of each degradation
TILE = 128  # px, as in training: routers were not tuned for another

_SMALL = preset("small")
_LED = "the same, led"
SHAPES: dict[str, ModelConfig] = {
    "plain DiT": _SMALL.model_copy(update={"branch_blocks": 0}),
    "+ Inter-MoE": _SMALL.model_copy(update={"experts": 1}),
    "+ Inter-MoE and Intra-MoE": _SMALL,
}


def equal_budget(codec: Path, photos: Path, out: Path, steps: int = STEPS) -> TableContent:
    """Train the three (or go on with what lies in `out`), and set the second and third against the first, in dB; the
    third also with every photo led to its degradation's sub-experts."""
    cache = out.parent / ".photo-cache"  # where the other stages of training look for decoded photos too
    models = {
        name: _trained(shape, codec, photos, out / f"{steps}-{name.strip('+ ').replace(' ', '-')}", steps, cache)
        for name, shape in SHAPES.items()
    }
    scales = PhotoScales(photos, cache)
    shown = TrainConfig(objective="distill", steps=1, batch=len(DEGRADATIONS), tile=TILE, seed=2)
    kept_out = scales.split(shown.validation_photos)[1]
    examples = list(batches(Examples(scales, kept_out, shown, DEGRADATIONS), 0, EXAMPLES, shown.batch))
    scores = {name: decibels(model, examples) for name, model in models.items()}
    *_, last = models.values()
    scores[_LED] = decibels(last, examples, led)
    for column in scores.values():
        column["mean"] = sum(column.values()) / len(column)
    first, *others = scores
    rows = tuple(
        (kind, f"{plain:.2f}", *(f"{scores[name][kind] - plain:+.2f}" for name in others))
        for kind, plain in scores[first].items()
    )
    return TableContent("Equal budgets", ("degradation", *scores), rows)


def _trained(shape: ModelConfig, codec: Path, photos: Path, out: Path, steps: int, cache: Path) -> MiMDiT:
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
        start = train(taught, photos, out / "routers", way="bf16 eager", cache=cache)
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
    return load_model(train(config, photos, out / "run", way="bf16 eager", cache=cache)).eval()
