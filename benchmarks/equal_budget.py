"""What each layer of the mixture is worth: a plain transformer, + Inter-MoE, + Inter-MoE and Intra-MoE, equal budgets.

The last is measured twice: as its routers choose, and with every photo led to the sub-experts that its degradation was
taught with, as the plans of frozen variants do. The difference is what so short a training leaves routers to mistake.

All three begin with the codec of stage 1 and everything else afresh; all of it is trained on the same photos and draws
for as long as the plain transformer takes for some steps, by default 360, a tenth of the student's. Of a network with
routers a sixth of the time is theirs alone: what they choose among learns nothing from photos that they mistake. PSNR
is of the photos kept for validation. Part of `python -m mimdit.benchmarks.routing_report`.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from mimdit.benchmarks.ablations import decibels, led
from mimdit.benchmarks.curves import read_log
from mimdit.benchmarks.table import TableContent
from mimdit.config import ModelConfig, preset
from mimdit.model.checkpoint import load_model, save_model
from mimdit.model.mimdit import MiMDiT
from mimdit.targets import DEGRADATIONS
from mimdit.train.config import TrainConfig
from mimdit.train.data import Examples, PhotoScales, batches, photo_cache
from mimdit.train.loop import train

__all__ = ["DESIGNS", "EXAMPLES", "STEPS", "TILE", "Design", "equal_budget"]

STEPS = 360
EXAMPLES = 24  # of each degradation
TILE = 128  # px, as in training: routers were not tuned for another

_SMALL = preset("small")
_LED = "the same, led"
_ROUTER_COST = 0.45  # of a step of the routers alone, to one of the plain transformer: most of it makes the examples


@dataclass(frozen=True)
class Design:
    """One of the three, and what a step of it costs: its time to the plain transformer's, on one core of an EPYC."""

    shape: ModelConfig
    cost: float


DESIGNS: dict[str, Design] = {
    "plain DiT": Design(_SMALL.model_copy(update={"branch_blocks": 0}), 1.0),
    "+ Inter-MoE": Design(_SMALL.model_copy(update={"experts": 1}), 1.16),
    "+ Inter-MoE and Intra-MoE": Design(_SMALL, 1.39),
}


def equal_budget(codec: Path, photos: Path, out: Path, steps: int = STEPS) -> TableContent:
    """Train the three for the time of `steps` (or go on with what lies in `out`), and set the second and third against
    the first, in dB; the third also with every photo led to its degradation's sub-experts. The last row is the seconds
    that it took."""
    cache = photo_cache(out)
    folders = {name: out / f"{steps}-{name.strip('+ ').replace(' ', '-')}" for name in DESIGNS}
    models = {name: _trained(design, codec, photos, folders[name], steps, cache) for name, design in DESIGNS.items()}
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
    seconds = [f"{_seconds(folder):.0f}" for folder in folders.values()]
    return TableContent("Equal budgets", ("degradation", *scores), (*rows, ("trained for, s", *seconds, seconds[-1])))


def _seconds(folder: Path) -> float:
    """Of training, by the logs of the stages in a folder."""
    return sum(read_log(log).seconds for log in folder.glob("*/log.jsonl"))


def _trained(design: Design, codec: Path, photos: Path, out: Path, steps: int, cache: Path) -> MiMDiT:
    routed = design.shape.branch_blocks > 0 and design.shape.experts > 1
    start = out / "start"
    if not start.is_dir():
        torch.manual_seed(0)
        model = MiMDiT.from_preset(design.shape)
        model.codec.load_state_dict(load_model(codec).codec.state_dict())
        save_model(model, start)
    common = {"batch": 8, "tile": TILE, "warmup": 30, "ema": 0.99}
    budget = float(steps)
    if routed:
        alone = max(1, round(budget / 6 / _ROUTER_COST))
        budget -= alone * _ROUTER_COST
        taught = TrainConfig(
            objective="routers", start=start, steps=alone, learning_rate=2e-3, evaluate_every=alone, seed=1, **common
        )
        start = train(taught, photos, out / "routers", way="bf16 eager", cache=cache)
    own = max(1, round(budget / design.cost))
    config = TrainConfig(
        objective="distill",
        start=start,
        steps=own,
        learning_rate=8e-4,
        forced_steps=own * 5 // 6 if routed else 0,
        taught_steps=own if routed else 0,
        evaluate_every=own,
        **common,
    )
    return load_model(train(config, photos, out / "run", way="bf16 eager", cache=cache)).eval()
