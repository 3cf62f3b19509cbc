"""One resumable training loop for every stage: train, log, average, evaluate, save."""

import copy
import json
import math
import time
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import nn

from mimdit.config import preset
from mimdit.errors import CheckpointError
from mimdit.files import write_file
from mimdit.model.checkpoint import load_model, save_model
from mimdit.model.mimdit import MiMDiT
from mimdit.train.config import TrainConfig
from mimdit.train.data import Batch, Examples, PhotoScales, batches, photo_cache
from mimdit.train.evaluate import evaluate, validation_batches
from mimdit.train.objective import Objective
from mimdit.train.pace import Way, apply_way, time_ways
from mimdit.train.quantized import RANGED, Rounded
from mimdit.train.state import ema_update, load_state, save_state

_MEASURED = 128  # examples


def train(config: TrainConfig, photos: Path, out: Path, *, way: str | None = None, cache: Path | None = None) -> Path:
    """Run (or go on with) one stage; returns the folder of the averaged weights, `out/model`.

    `out` gets `state/` (to resume from), `log.jsonl`, `sheets/` and `model/`. `way` fixes how steps are computed, as
    named by `pace.Way`; otherwise the fastest is measured at the first start and kept for the run. `cache` keeps the
    decoded photos; by default it is `photo_cache`'s, which the stages of one model share.
    """
    scales = PhotoScales(photos, cache or photo_cache(out))
    training, validation = scales.split(config.validation_photos)
    examples = Examples(scales, training, config)
    checks = validation_batches(scales, validation, config)
    out.mkdir(parents=True, exist_ok=True)

    objective, optimizer = _assemble(config)
    resumed = (out / "state").is_dir()
    if not resumed:  # otherwise the state has them
        _measure_views(objective.model, examples)
    averaged = copy.deepcopy(objective.model).eval()
    stepped = _stepped(objective, examples)  # before weights are those of a resumed run
    first = 0
    if resumed:
        first, begun_as = load_state(out / "state", config, objective.model, averaged, optimizer, scales.digest)
        if way not in (None, begun_as):
            raise CheckpointError(
                f"{out} was begun as {begun_as}: resume it that way, or choose another folder for {way}"
            )
        way = begun_as
    log = Log(out / "log.jsonl", first)
    if way is None:
        way = _measure_way(config, examples, log)
    chosen = Way.named(way)
    accelerator = _accelerator(chosen)
    apply_way(objective.model, chosen)
    step_module, optimizer = accelerator.prepare(stepped, optimizer)
    averaged.to(accelerator.device)  # pyright: ignore[reportArgumentType]
    checks = [_placed(check, accelerator) for check in checks]

    with _progress() as bar:
        task = bar.add_task(config.objective, total=config.steps, completed=first, loss="")
        for step, batch in enumerate(batches(examples, first, config.steps, config.batch), first):
            rate = learning_rate(config, step)
            for group in optimizer.param_groups:
                group["lr"] = rate
            objective.model.train()
            losses = step_module(_placed(batch, accelerator), step)
            accelerator.backward(losses["loss"])
            accelerator.clip_grad_norm_(objective.model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            ema_update(averaged, objective.model, min(config.ema, (1 + step) / (10 + step)))
            done = step + 1
            logged, saved = (done % each == 0 or done == config.steps for each in (config.log_every, config.save_every))
            if (logged or saved) and not math.isfinite(losses["loss"].detach()):
                raise CheckpointError(
                    f"the loss is not finite at step {done}: lower learning_rate, and choose another --out"
                )
            if logged:
                values = {name: float(value.detach()) for name, value in losses.items()}
                log.write(done, lr=rate, **values)
                bar.update(task, loss=f"loss {values['loss']:.4f}")
            bar.update(task, completed=done)
            if done % config.evaluate_every == 0 or done == config.steps:
                watched = Objective(averaged, config)
                scores, dead = evaluate(watched, checks, out / "sheets" / f"{done:07d}.png")
                log.write(done, **{f"psnr_{kind}": value for kind, value in scores.items()}, dead_units=dead)
                found = ", ".join(f"{kind} {value:.2f}" for kind, value in scores.items())
                bar.console.print(f"step {done}: {found} dB, {dead:.0%} of units dead")
            if saved:
                save_state(out / "state", done, config, objective.model, averaged, optimizer, way, scales.digest)
    save_model(averaged, out / "model")
    return out / "model"


class Log:
    """JSON Lines, one object a line, appended; lines after the step that is resumed from are dropped first."""

    def __init__(self, path: Path, resumed_at: int):
        self.path, self.start = path, time.monotonic()
        lines = path.read_text().splitlines() if resumed_at and path.exists() else []
        kept = [line for line in lines if _step_of(line) <= resumed_at]
        write_file(path, "".join(f"{line}\n" for line in kept).encode(), overwrite=True)

    def write(self, step: int, **values: float | str) -> None:
        known = {k: v if isinstance(v, str) or math.isfinite(v) else None for k, v in values.items()}  # JSON has no inf
        row = {"step": step, "seconds": round(time.monotonic() - self.start, 2), **known}
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except ValueError:  # the line that a kill cut short
        return math.inf


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, then cosine decay to 2 % of the peak."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    along = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * along)))


def _assemble(config: TrainConfig) -> tuple[Objective, torch.optim.AdamW]:
    torch.manual_seed(config.seed)  # fresh weights are part of what is reproducible
    model = load_model(config.start) if config.start else MiMDiT.from_preset(preset(config.preset))
    other = config.start if config.inversion_steps else config.reference
    reference = load_model(other).eval().requires_grad_(False) if other else None
    objective = Objective(model.to(memory_format=torch.channels_last), config, reference)  # pyright: ignore
    optimizer = torch.optim.AdamW(
        objective.trainable(), config.learning_rate, betas=(0.9, 0.99), weight_decay=config.weight_decay, fused=True
    )
    return objective, optimizer


def _measure_views(model: MiMDiT, examples: Examples) -> None:
    """The units in which routers see statistics, from the first examples; once, at the first stage that has routers."""
    if model.branch.frozen or model.branch.routing_view.measured:
        return
    seen = list(batches(examples, 0, _MEASURED, 1))
    model.branch.routing_view.measure(torch.cat([b.image for b in seen]), torch.cat([b.photo for b in seen]))


def _stepped(objective: Objective, examples: Examples) -> nn.Module:
    """What is called for a step: the objective, in the numbers of w8a8 where its config wants them."""
    config = objective.config
    return Rounded(objective, batches(examples, 0, RANGED, config.batch)) if config.quantized else objective


def _measure_way(config: TrainConfig, examples: Examples, log: Log) -> str:
    batch = next(batches(examples, 0, 1, config.batch))

    def make_step(way: Way) -> "_Step":
        objective, _ = _assemble(config)
        apply_way(objective.model, way)
        accelerator = _accelerator(way)
        return _Step(accelerator.prepare(_stepped(objective, examples)), _placed(batch, accelerator), accelerator)

    seconds = time_ways(make_step)
    fastest = min(seconds, key=seconds.__getitem__)
    log.write(0, way=fastest, **{f"seconds_{name.replace(' ', '_')}": round(s, 3) for name, s in seconds.items()})
    return fastest


def _accelerator(way: Way) -> Accelerator:
    AcceleratorState._reset_state(True)  # accelerate keeps one precision per process; timing tries several
    return Accelerator(mixed_precision=way.precision)


class _Step:
    """One forward and backward pass, thrown away: for timing."""

    def __init__(self, module: nn.Module, batch: Batch, accelerator: Accelerator):
        self.module, self.batch, self.accelerator = module, batch, accelerator

    def __call__(self) -> None:
        self.accelerator.backward(self.module(self.batch, 0)["loss"])
        self.module.zero_grad()


def _placed(batch: Batch, accelerator: Accelerator) -> Batch:
    def move(x: torch.Tensor) -> torch.Tensor:
        return x.to(accelerator.device)

    image = move(batch.image).contiguous(memory_format=torch.channels_last)
    return Batch(image, move(batch.truth), move(batch.photo), move(batch.families), batch.kinds)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
