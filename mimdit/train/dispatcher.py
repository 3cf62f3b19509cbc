"""Training of the dispatcher: examples are made once and kept, so that a killed run goes on; the rest takes minutes.

Few photos are at hand, and a network knows those that it learned from. So each of its members learns without a part of
them, and thresholds are chosen on scores of photos that a member has not seen, as they are.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from rich.progress import track
from scipy.ndimage import minimum_filter
from torch import Tensor, nn

from mimdit.errors import CheckpointError
from mimdit.model.dispatcher import MEMBERS, Dispatcher, DispatcherConfig, save_dispatcher
from mimdit.model.statistics import statistics
from mimdit.targets import DISPATCHER_CLASSES
from mimdit.train.data import PhotoScales, photo_cache
from mimdit.train.dispatcher_examples import EITHER, INGREDIENTS, Shards
from mimdit.train.loop import Log

THRESHOLD = 0.5  # of every score, once calibrated
JITTER = 0.1  # of the spread: noise on the statistics while training
_SENSIBLE = (-2.0, 7.0)  # own thresholds beyond, before the sigmoid, are a matter of too few photos
# Haze leaves no dark place, and darkness no bright one. Nor do some photos of white walls, clouds or the night: nobody
# can tell for sure.
_ALL_BRIGHT = 0.2  # of the dark channel's darkest tenth
_ALL_DARK = 0.15  # of the mean
_CHUNK = 4  # examples at a time: so few that the memory of their filters' answers is used again
_HAZE, _DARK = (DISPATCHER_CLASSES.index(name) for name in ("dehaze", "lowlight"))


class DispatcherRun(BaseModel):
    """What a run is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=2500, gt=0, description="of each member")
    batch: int = Field(default=256, gt=0)
    examples: int = Field(default=20480, gt=0)
    checks: int = Field(default=6144, gt=0, description="examples of photos as they are, for the thresholds")
    learning_rate: float = Field(default=3e-3, gt=0, description="at first; falls to 0 as a cosine")
    weight_decay: float = 0.05
    seed: int = 0
    clean_flagged: float = Field(
        default=0.06, description="largest share of clean photos, of those not trained on, that may be flagged"
    )
    argued: float = Field(
        default=0.25, description="largest share of bright, or dark, clean photos that may be called hazy, or dark"
    )
    misled: float = Field(
        default=0.03, description="largest share of photos without haze, or darkness, that may be called hazy, or dark"
    )
    unchecked: float = Field(default=0.3, description="how much of these shares is darkness's part")
    log_every: int = 100


@dataclass(frozen=True)
class _Seen:
    """The examples as the networks see them, in their order."""

    found: Tensor  # f32[N,COUNT]: statistics
    wanted: Tensor  # i8[N,6]
    arguable: np.ndarray  # bool[N,6]: `arguable`'s answer, for clean photos
    kinds: np.ndarray  # u8[N], indices of INGREDIENTS
    sources: np.ndarray  # i16[N,2], indices of photos


def train_dispatcher(run: DispatcherRun, photos: Path, out: Path) -> tuple[Path, DispatcherConfig]:
    """Returns the folder of the weights, `out/model`, and what is stored beside them.

    `out` gets `examples/` (kept: what a killed run goes on from), `log.jsonl` and `model/`. Raises CheckpointError
    where there are fewer photos than members.
    """
    out.mkdir(parents=True, exist_ok=True)
    scales = PhotoScales(photos, photo_cache(out))
    if len(scales.names) < MEMBERS:
        raise CheckpointError(
            f"{photos} has {len(scales.names)} photos: the dispatcher's training needs at least {MEMBERS}"
        )
    examples = Shards(scales, run.examples, run.seed, out / "examples" / "training", varied=True)
    checks = Shards(scales, run.checks, run.seed, out / "examples" / "checks", varied=False)
    log = Log(out / "log.jsonl", 0)
    torch.manual_seed(run.seed)
    model = Dispatcher()
    mixed = np.random.default_rng(run.seed).permutation(len(scales.names))
    shares = [mixed[number::MEMBERS] for number in range(MEMBERS)]
    _fit_members(run, model, _seen(examples), shares, log)
    config = _judge(run, model, _seen(checks), shares, log)
    save_dispatcher(model, config, out / "model")
    return out / "model", config


def _fit_members(run: DispatcherRun, model: Dispatcher, seen: _Seen, shares: list[np.ndarray], log: Log) -> None:
    """Train every member, in place, without its share of the photos, and without pictures that show a part of one."""
    model.mean.copy_(seen.found.mean(0))
    model.spread.copy_(seen.found.std(0) + 1e-6)
    found = model.normalised(seen.found)
    for number, (member, share) in enumerate(zip(model.members, shares, strict=True)):
        rows = torch.from_numpy(np.flatnonzero(~np.isin(seen.sources, share).any(axis=1)))
        _fit(run, member, found[rows], seen.wanted[rows], number * run.steps, log)


def _fit(run: DispatcherRun, member: nn.Module, found: Tensor, wanted: Tensor, done: int, log: Log) -> None:
    """Normalised statistics f32[N,COUNT] and what is wanted i8[N,6] → the member trained, in place; `done` steps went
    before it."""
    optimizer = torch.optim.AdamW(member.parameters(), run.learning_rate, weight_decay=run.weight_decay)
    for step in range(run.steps):
        for group in optimizer.param_groups:
            group["lr"] = run.learning_rate * 0.5 * (1 + math.cos(math.pi * step / run.steps))
        rows = torch.randint(len(found), (run.batch,))
        jittered = found[rows] + JITTER * torch.randn(run.batch, found.shape[1])
        loss = dispatcher_loss(member(jittered), wanted[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % run.log_every == 0 or step + 1 == run.steps:
            value = float(loss.detach())
            if not math.isfinite(value):
                raise CheckpointError(f"the dispatcher's loss is not finite at step {step + 1}: lower its rate")
            log.write(done + step + 1, loss=value)
    member.eval()


def dispatcher_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross entropy, f32[B,6] against i8[B,6]; scores that may fall either way count nothing."""
    decided = (wanted != EITHER).float()
    losses = F.binary_cross_entropy_with_logits(logits, wanted.clamp(0).float(), reduction="none")
    return (losses * decided).sum() / decided.sum().clamp(min=1)


def arguable(photo: np.ndarray) -> np.ndarray:
    """Views f32[N,3,64,64] of clean photos → bool[N,6]: those taken for hazy, or dark, with some right."""
    flags = np.zeros((len(photo), len(DISPATCHER_CLASSES)), bool)
    dark_channel = minimum_filter(photo.min(axis=1), size=7, axes=(1, 2)).reshape(len(photo), -1)
    flags[:, _HAZE] = np.quantile(dark_channel, 0.1, axis=1) >= _ALL_BRIGHT
    flags[:, _DARK] = photo.mean(axis=(1, 2, 3)) < _ALL_DARK
    return flags


def choose_thresholds(
    run: DispatcherRun, logits: np.ndarray, wanted: np.ndarray, clean: np.ndarray, arguable: np.ndarray
) -> np.ndarray:
    """Scores before the sigmoid f32[N,6] → f64[6]: per class the smallest that is exceeded by no more than allowed: by
    its part of `run.clean_flagged` of the clean photos bool[N], those apart that are arguable bool[N,6], of which
    `run.argued` may; and of photos without haze, or darkness, whatever else they suffer from, by `run.misled`.

    One threshold for all classes is as high as the hardest needs: mist in clean photos took haze and darkness with it.
    The variant that is named looks at the photo itself (`runtimes.second_look`) and mends nearly all mistakes, so they
    may be many: but lowlight's variant cannot tell, and a grainy photo that is lightened loses 15 dB.
    """
    thresholds = np.empty(len(DISPATCHER_CLASSES))
    for i in range(len(thresholds)):
        scores, no = logits[:, i], wanted[:, i] == 0
        part = run.unchecked if i == _DARK else 1.0
        clear = scores[no & clean & ~arguable[:, i]]
        thresholds[i] = _exceeded_by(clear, part * run.clean_flagged / len(thresholds))
        if i in (_HAZE, _DARK):
            argued = _exceeded_by(scores[no & clean & arguable[:, i]], part * run.argued)
            thresholds[i] = max(thresholds[i], argued, _exceeded_by(scores[no], part * run.misled))
    return thresholds


def _exceeded_by(scores: np.ndarray, share: float) -> float:
    """The smallest threshold that at most `share` of the scores f32[N] reach; −∞ where there are no scores."""
    if not len(scores):
        return -math.inf
    return float(np.nextafter(np.sort(scores)[::-1][int(share * len(scores))], np.float32(np.inf)))


@torch.no_grad()
def calibrate(model: Dispatcher, thresholds: np.ndarray) -> None:
    """Shift every score, in place, so that what was its own threshold before the sigmoid becomes THRESHOLD."""
    model.offset.copy_(torch.from_numpy(math.log(THRESHOLD / (1 - THRESHOLD)) - thresholds))


def _judge(run: DispatcherRun, model: Dispatcher, seen: _Seen, shares: list[np.ndarray], log: Log) -> DispatcherConfig:
    """Calibrate, each photo by the member that has not seen it; log, of the same photos and members, the
    share of each kind that is said to be what it is, and of each degradation, alone or among others, that is found."""
    found, wanted = model.normalised(seen.found), seen.wanted.numpy()
    logits = np.empty(wanted.shape, np.float32)
    for member, share in zip(model.members, shares, strict=True):
        rows = np.flatnonzero(np.isin(seen.sources[:, 0], share))
        with torch.no_grad():
            logits[rows] = member(found[rows]).numpy()
    clean = seen.kinds == INGREDIENTS.index("clean")
    thresholds = choose_thresholds(run, logits, wanted, clean, seen.arguable).clip(*_SENSIBLE)
    calibrate(model, thresholds)
    said = logits >= thresholds
    right = ((said == (wanted == 1)) | (wanted == EITHER)).all(axis=1)
    figures = {f"right_{kind}": right[seen.kinds == i].mean() for i, kind in enumerate(INGREDIENTS) if i in seen.kinds}
    for i, name in enumerate(DISPATCHER_CLASSES):
        figures[f"threshold_{name}"] = thresholds[i]
        if (wanted[:, i] == 1).any():
            figures[f"found_{name}"] = said[wanted[:, i] == 1, i].mean()
    log.write(MEMBERS * run.steps, **{name: round(float(share), 3) for name, share in figures.items()})
    flagged = (said & (wanted == 0))[clean].any(axis=1)
    return DispatcherConfig(threshold=THRESHOLD, steps=run.steps, clean_flagged=float(flagged.mean()))


def _seen(examples: Shards) -> _Seen:
    found: list[Tensor] = []
    views: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    firsts = range(0, len(examples), _CHUNK)
    for first in track(firsts, "statistics", console=Console(stderr=True), transient=True):
        taken = examples.take(np.arange(first, min(first + _CHUNK, len(examples))))
        photo = taken["photo"].astype(np.float32)  # [n,3,64,64]
        crops = torch.from_numpy(taken["crops"].astype(np.float32) / 255).flatten(0, 1)  # [n·16,3,64,64]
        with torch.no_grad():
            found.append(statistics(torch.from_numpy(photo), crops))
        views.append(arguable(photo))
        labels.append(taken[["wanted", "kind", "sources"]])
    label = np.concatenate(labels)
    return _Seen(
        found=torch.cat(found),
        wanted=torch.from_numpy(label["wanted"].copy()),
        arguable=np.concatenate(views),
        kinds=label["kind"],
        sources=label["sources"],
    )
