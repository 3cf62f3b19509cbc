"""Training of the dispatcher: examples are made once and kept, so that a killed run goes on; the rest takes seconds."""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from mimdit.errors import CheckpointError
from mimdit.model.dispatcher import Dispatcher, DispatcherConfig, save_dispatcher
from mimdit.model.statistics import statistics
from mimdit.targets import DISPATCHER_CLASSES
from mimdit.train.data import PhotoScales
from mimdit.train.dispatcher_examples import EITHER, INGREDIENTS, Shards
from mimdit.train.loop import Log

VALIDATION_PHOTOS = 8
THRESHOLD = 0.5  # of every score, once calibrated
SENSIBLE = (0.2, 0.999)  # own thresholds beyond are a matter of too few photos
JITTER = 0.1  # of the spread: noise on the statistics while training
_CHUNK = 64  # examples at a time, 12 MB of crops


class DispatcherRun(BaseModel):
    """What a run is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=2500, gt=0)
    batch: int = Field(default=256, gt=0)
    examples: int = Field(default=7680, gt=0)
    checks: int = Field(default=1536, gt=0, description="examples of photos kept out of training, for the thresholds")
    learning_rate: float = Field(default=3e-3, gt=0, description="at first; falls to 0 as a cosine")
    weight_decay: float = 0.05
    seed: int = 0
    clean_flagged: float = Field(
        default=0.02, description="largest share of clean validation photos that may be flagged"
    )
    misled: float = Field(
        default=0.01, description="largest share of photos without haze, or darkness, that may be called hazy, or dark"
    )
    unasked: float = Field(default=0.02, description="largest share of dim photos that may be called dark")
    log_every: int = 100


def train_dispatcher(run: DispatcherRun, photos: Path, out: Path) -> tuple[Path, DispatcherConfig]:
    """Returns the folder of the weights, `out/model`, and what is stored beside them.

    `out` gets `examples/` (kept: what a killed run goes on from), `log.jsonl` and `model/`. Decoded photos are kept in
    `out/../.photo-cache`, where the other stages of training look for them too.
    """
    out.mkdir(parents=True, exist_ok=True)
    scales = PhotoScales(photos, out.parent / ".photo-cache")
    training, validation = scales.split(VALIDATION_PHOTOS)
    examples = Shards(scales, training, run.examples, run.seed, out / "examples" / "training")
    checks = Shards(scales, validation, run.checks, run.seed, out / "examples" / "validation")
    log = Log(out / "log.jsonl", 0)
    torch.manual_seed(run.seed)
    model = _fit(run, *_seen(examples), log)
    config = _judge(run, model, checks, log)
    save_dispatcher(model, config, out / "model")
    return out / "model", config


def _fit(run: DispatcherRun, found: Tensor, wanted: Tensor, log: Log) -> Dispatcher:
    """Statistics f32[N,COUNT] and what is wanted i8[N,6] → a trained dispatcher."""
    model = Dispatcher()
    model.mean.copy_(found.mean(0))
    model.spread.copy_(found.std(0) + 1e-6)
    found = model.normalised(found)
    optimizer = torch.optim.AdamW(model.parameters(), run.learning_rate, weight_decay=run.weight_decay)
    for step in range(run.steps):
        for group in optimizer.param_groups:
            group["lr"] = run.learning_rate * 0.5 * (1 + math.cos(math.pi * step / run.steps))
        rows = torch.randint(len(found), (run.batch,))
        jittered = found[rows] + JITTER * torch.randn(run.batch, found.shape[1])
        loss = dispatcher_loss(model.logits(jittered), wanted[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % run.log_every == 0 or step + 1 == run.steps:
            value = float(loss.detach())
            if not math.isfinite(value):
                raise CheckpointError(f"the dispatcher's loss is not finite at step {step + 1}: lower its rate")
            log.write(step + 1, loss=value)
    return model.eval()


def dispatcher_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross entropy, f32[B,6] against i8[B,6]; scores that may fall either way count nothing."""
    decided = (wanted != EITHER).float()
    losses = F.binary_cross_entropy_with_logits(logits, wanted.clamp(0).float(), reduction="none")
    return (losses * decided).sum() / decided.sum().clamp(min=1)


def choose_thresholds(scores: np.ndarray, flagged: float) -> np.ndarray:
    """f32[N,C] scores of clean photos → f64[C]: per class the smallest that flags at most `flagged`/C of them.

    One threshold for all classes is as high as the hardest needs: mist in clean photos took haze and darkness with it.
    """
    classes = scores.shape[1]
    return np.array([_exceeded_by(scores[:, i], flagged / classes) for i in range(classes)])


def raise_thresholds(thresholds: np.ndarray, scores: np.ndarray, wanted: np.ndarray, run: DispatcherRun) -> np.ndarray:
    """The same f64[C], raised for `dehaze` and `lowlight` until at most `run.misled` of the photos f32[N,C] without
    haze or darkness, whatever else they suffer from, are called hazy or dark, and of dim ones at most `run.unasked`.

    Of all mistakes these are the dear ones: a grainy photo that is lightened loses 15 dB, one left alone 0.5.
    """
    raised = thresholds.copy()
    haze, dark = (DISPATCHER_CLASSES.index(name) for name in ("dehaze", "lowlight"))
    for i, value, share in ((haze, 0, run.misled), (dark, 0, run.misled), (dark, EITHER, run.unasked)):
        raised[i] = max(raised[i], _exceeded_by(scores[wanted[:, i] == value, i], share))
    return raised


def _exceeded_by(scores: np.ndarray, share: float) -> float:
    """The smallest threshold that at most `share` of the scores f32[N] reach; 0 where there are no scores."""
    if not len(scores):
        return 0.0
    return float(np.nextafter(np.sort(scores)[::-1][int(share * len(scores))], np.float32(2)))


@torch.no_grad()
def calibrate(model: Dispatcher, thresholds: np.ndarray) -> None:
    """Shift every score, in place, so that what was its own threshold becomes THRESHOLD, the same for all."""
    odds = np.log(thresholds / (1 - thresholds)) - math.log(THRESHOLD / (1 - THRESHOLD))
    model.score.bias.sub_(torch.from_numpy(odds).to(model.score.bias))


@torch.no_grad()
def _judge(run: DispatcherRun, model: Dispatcher, checks: Shards, log: Log) -> DispatcherConfig:
    """Calibrate on the validation examples; log the share of each kind that is said to be what it is."""
    found, expected = _seen(checks)
    found, wanted = model.normalised(found), expected.numpy()
    kinds = checks.take(np.arange(len(checks)))["kind"]
    clean = kinds == INGREDIENTS.index("clean")
    scores = torch.sigmoid(model.logits(found)).numpy()
    asked = np.where(wanted[clean] == EITHER, 0, scores[clean])  # soft and dim ones may be flagged
    thresholds = choose_thresholds(asked, run.clean_flagged)
    thresholds = raise_thresholds(thresholds, scores, wanted, run)
    calibrate(model, np.clip(thresholds, *SENSIBLE))
    said = torch.sigmoid(model.logits(found)).numpy() >= THRESHOLD
    right = ((said == (wanted == 1)) | (wanted == EITHER)).all(axis=1)
    shares = {kind: float(right[kinds == i].mean()) for i, kind in enumerate(INGREDIENTS) if (kinds == i).any()}
    own = {f"threshold_{name}": round(float(t), 3) for name, t in zip(DISPATCHER_CLASSES, thresholds, strict=True)}
    log.write(run.steps, **own, **{f"right_{kind}": round(share, 3) for kind, share in shares.items()})
    flagged = (said & (wanted == 0))[clean].any(axis=1)
    return DispatcherConfig(threshold=THRESHOLD, steps=run.steps, clean_flagged=float(flagged.mean()))


def _seen(examples: Shards) -> tuple[Tensor, Tensor]:
    """Statistics f32[N,COUNT] and what is wanted i8[N,6], of all examples in their order."""
    found: list[Tensor] = []
    wanted: list[Tensor] = []
    for first in range(0, len(examples), _CHUNK):
        records = examples.take(np.arange(first, min(first + _CHUNK, len(examples))))
        photo = torch.from_numpy(records["photo"].astype(np.float32))  # [n,3,64,64]
        crops = torch.from_numpy(records["crops"].astype(np.float32) / 255).flatten(0, 1)  # [n·16,3,64,64]
        with torch.no_grad():
            found.append(statistics(photo, crops))
        wanted.append(torch.from_numpy(records["wanted"].copy()))
    return torch.cat(found), torch.cat(wanted)
