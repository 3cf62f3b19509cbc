"""Training of the dispatcher: minutes on one core, resumable at any kill, bit-equal to the run that was not killed."""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from mimdit.errors import CheckpointError
from mimdit.model.dispatcher import Dispatcher, DispatcherConfig, save_dispatcher
from mimdit.targets import DISPATCHER_CLASSES
from mimdit.train.data import PhotoScales
from mimdit.train.dispatcher_examples import EITHER, INGREDIENTS, Shards
from mimdit.train.loop import Log
from mimdit.train.state import ema_update, load_state, save_state

VALIDATION_PHOTOS = 8
THRESHOLD = 0.5  # of every score, once calibrated
SENSIBLE = (0.2, 0.98)  # own thresholds beyond are a matter of too few photos
_WAY = "fp32 eager"  # a network this small gains nothing from bf16 or the compiler


class DispatcherRun(BaseModel):
    """What a run is; stored with its state, and refused when a resumed run differs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=1500, gt=0)
    batch: int = Field(default=32, gt=0)
    examples: int = Field(default=5120, gt=0, description="made once, and gone through again and again")
    checks: int = Field(default=1536, gt=0, description="examples of photos kept out of training, for the threshold")
    learning_rate: float = Field(default=2e-3, gt=0)
    warmup: int = 50
    weight_decay: float = 0.02
    ema: float = Field(default=0.99, ge=0, lt=1)
    seed: int = 0
    clean_flagged: float = Field(
        default=0.02, description="largest share of clean validation photos that may be flagged"
    )
    log_every: int = 20
    save_every: int = 100


def train_dispatcher(run: DispatcherRun, photos: Path, out: Path) -> tuple[Path, DispatcherConfig]:
    """Run, or go on; returns the folder of the averaged weights, `out/model`, and what is stored beside them.

    `out` gets `examples/`, `state/` (to resume from), `log.jsonl` and `model/`. Decoded photos are kept in
    `out/../.photo-cache`, where the other stages of training look for them too.
    """
    out.mkdir(parents=True, exist_ok=True)
    scales = PhotoScales(photos, out.parent / ".photo-cache")
    training, validation = scales.split(VALIDATION_PHOTOS)
    examples = Shards(scales, training, run.examples, run.seed, out / "examples" / "training")
    checks = Shards(scales, validation, run.checks, run.seed, out / "examples" / "validation")

    torch.manual_seed(run.seed)
    model, averaged = (Dispatcher().to(memory_format=torch.channels_last) for _ in range(2))  # pyright: ignore
    averaged.load_state_dict(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), run.learning_rate, weight_decay=run.weight_decay)
    first = 0
    if (out / "state").is_dir():
        first, _ = load_state(out / "state", run.model_dump_json(), model, averaged, optimizer)
    log = Log(out / "log.jsonl", first)
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("dispatcher", total=run.steps, completed=first)
        for step in range(first, run.steps):
            for group in optimizer.param_groups:
                group["lr"] = _learning_rate(run, step)
            photo, crops, wanted = _batch(run, examples, step)
            loss = dispatcher_loss(model.logits(photo, crops), wanted)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            ema_update(averaged, model, min(run.ema, (1 + step) / (10 + step)))
            done = step + 1
            if done % run.log_every == 0 or done == run.steps:
                value = float(loss.detach())
                if not math.isfinite(value):
                    raise CheckpointError(f"the loss is not finite at step {done}: remove {out}/state and start over")
                log.write(done, loss=value)
                bar.update(task, completed=done, description=f"dispatcher, loss {value:.4f}")
            if done % run.save_every == 0 or done == run.steps:
                save_state(out / "state", done, run.model_dump_json(), model, averaged, optimizer, _WAY)

    config = _judge(run, averaged.eval(), checks, log)
    save_dispatcher(averaged, config, out / "model")
    return out / "model", config


def dispatcher_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross entropy, f32[B,6] against i8[B,6]; scores that may fall either way count nothing."""
    decided = (wanted != EITHER).float()
    losses = F.binary_cross_entropy_with_logits(logits, wanted.clamp(0).float(), reduction="none")
    return (losses * decided).sum() / decided.sum().clamp(min=1)


def choose_thresholds(scores: np.ndarray, flagged: float) -> np.ndarray:
    """f32[N,C] scores of clean photos → f64[C]: per class the smallest that flags at most `flagged`/C of them.

    One threshold for all classes is as high as the hardest needs: mist in clean photos took haze and darkness with it.
    """
    count, classes = scores.shape
    highest = np.sort(scores, axis=0)[::-1]
    return np.nextafter(highest[int(flagged * count / classes)], np.float32(2)).astype(np.float64)


@torch.no_grad()
def calibrate(model: Dispatcher, thresholds: np.ndarray) -> None:
    """Shift every score, in place, so that what was its own threshold becomes THRESHOLD, the same for all."""
    odds = np.log(thresholds / (1 - thresholds)) - math.log(THRESHOLD / (1 - THRESHOLD))
    model.score.bias -= torch.from_numpy(odds).to(model.score.bias)


def _judge(run: DispatcherRun, model: Dispatcher, checks: Shards, log: Log) -> DispatcherConfig:
    """Calibrate on the validation examples; log the share of each kind that is said to be what it is."""
    scores, wanted, kinds = _scores(model, checks, run.batch)
    thresholds = choose_thresholds(scores[kinds == INGREDIENTS.index("clean")], run.clean_flagged)
    calibrate(model, np.clip(thresholds, *SENSIBLE))
    scores, _, _ = _scores(model, checks, run.batch)
    clean = scores[kinds == INGREDIENTS.index("clean")]
    said = scores >= THRESHOLD
    right = ((said == (wanted == 1)) | (wanted == EITHER)).all(axis=1)
    shares = {kind: float(right[kinds == i].mean()) for i, kind in enumerate(INGREDIENTS) if (kinds == i).any()}
    own = {f"threshold_{name}": round(float(t), 3) for name, t in zip(DISPATCHER_CLASSES, thresholds, strict=True)}
    log.write(run.steps, **own, **{f"right_{kind}": round(share, 3) for kind, share in shares.items()})
    return DispatcherConfig(
        threshold=THRESHOLD, steps=run.steps, clean_flagged=float((clean >= THRESHOLD).any(axis=1).mean())
    )


def _scores(model: Dispatcher, checks: Shards, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """f32[N,6] scores, i8[N,6] wanted, u8[N] kinds of all validation examples."""
    scores: list[np.ndarray] = []
    records = checks.take(np.arange(len(checks)))
    for first in range(0, len(records), size):
        photo, crops, _ = _tensors(records[first : first + size])
        with torch.no_grad():
            scores.append(model(photo, crops).numpy())
    return np.concatenate(scores), records["wanted"], records["kind"]


def _batch(run: DispatcherRun, examples: Shards, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Batch number `step`: the next ones in a new order each time through, all mirrored or none."""
    places = np.arange(step * run.batch, (step + 1) * run.batch)
    orders = {
        epoch: np.random.default_rng([run.seed, 1, epoch]).permutation(len(examples))
        for epoch in set((places // len(examples)).tolist())
    }
    photo, crops, wanted = _tensors(
        examples.take(np.array([orders[place // len(examples)][place % len(examples)] for place in places.tolist()]))
    )
    rng = np.random.default_rng([run.seed, 2, step])
    if rng.random() < 0.5:
        photo, crops = photo.flip(3), crops.flip(3)
    if rng.random() < 0.5:
        crops = crops.flip(2)  # the view stays upright: haze knows up, noise and blocks do not
    return photo, crops, wanted


def _tensors(records: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """RECORD[B] → photo f32[B,3,64,64], crops f32[B·16,3,64,64], wanted i8[B,6]."""
    crops = torch.from_numpy(records["crops"].astype(np.float32) / 255).flatten(0, 1)
    crops = crops.contiguous(memory_format=torch.channels_last)  # halves the time of a step
    return torch.from_numpy(records["photo"].astype(np.float32)), crops, torch.from_numpy(records["wanted"].copy())


def _learning_rate(run: DispatcherRun, step: int) -> float:
    """Linear warm-up, then cosine decay to 0."""
    if step < run.warmup:
        return run.learning_rate * (step + 1) / run.warmup
    along = (step - run.warmup) / max(1, run.steps - run.warmup)
    return run.learning_rate * 0.5 * (1 + math.cos(math.pi * along))
