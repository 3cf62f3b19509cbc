"""Latency of one tile by target and precision, against PyTorch in eager mode and compiled, in turns within one run.

    python -m mimdit.benchmarks.latency_targets bundles/* --model VARIANT/model --model STUDENT/model --out latency

Build the bundles from the variant that --model names, one bundle a target and precision; a dynamic student as another
--model shows what freezing gains, in the whole network and in the MiM branch alone. Figures compare within one run on a
quiet machine only: the load that was found is printed with them.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from mimdit.benchmarks.device import this_device, versions
from mimdit.benchmarks.latency import noise_inputs, timings
from mimdit.benchmarks.statistics import median_interval
from mimdit.bundle import Bundle, open_bundle
from mimdit.errors import BundleError, MimditError, MissingPackageError
from mimdit.files import write_file
from mimdit.runtimes import is_reference, open_runtime
from mimdit.script import run
from mimdit.targets import VARIANTS, Variant

if TYPE_CHECKING:
    from mimdit.model.mimdit import MiMDiT

__all__ = ["Contender", "Row", "contenders_of", "markdown", "measure"]

_PACKAGES = ("mimdit", "torch", "onnxruntime", "openvino", "ai-edge-litert", "executorch", "coreai-core")


@dataclass(frozen=True)
class Contender:
    """Something that restores a tile: its words in the table, its weights in MB, and the call that is timed."""

    name: str
    precision: str
    routing: str  # "frozen" or "dynamic"
    part: str  # "network", or "branch" for the MiM branch alone
    unit: str
    megabytes: float
    call: Callable[[], object]


@dataclass(frozen=True)
class Row:
    """Times in milliseconds; `interval` is the 95 % confidence interval of the median, null with too few samples.

    `times_eager`: how often faster than PyTorch in eager mode, same routing and part; null where that did not run.
    """

    name: str
    precision: str
    routing: str
    part: str
    unit: str
    megabytes: float
    median: float
    interval: tuple[float, float] | None
    steady: bool
    times_eager: float | None
    samples: tuple[float, ...]


def measure(contenders: Sequence[Contender], samples: int) -> list[Row]:
    """Warm up each contender, then time them in turns, in an order that is shuffled anew in every round."""
    found = timings([contender.call for contender in contenders], samples=samples)
    times = [tuple(1e3 * second for second in timing.seconds) for timing in found]
    eager = {
        (contender.routing, contender.part): median(seconds)
        for contender, seconds in zip(contenders, times, strict=True)
        if contender.name == _EAGER
    }
    rows: list[Row] = []
    for contender, timing, seconds in zip(contenders, found, times, strict=True):
        words = {name: value for name, value in vars(contender).items() if name != "call"}
        yardstick = eager.get((contender.routing, contender.part))
        rows.append(
            Row(
                **words,
                median=median(seconds),
                interval=median_interval(seconds),
                steady=timing.steady,
                times_eager=yardstick and yardstick / median(seconds),
                samples=seconds,
            )
        )
    return rows


def markdown(rows: Sequence[Row], facts: dict[str, Any]) -> str:
    """A table, the fastest first, under the circumstances that it was measured in."""
    lines = [
        f"One tile of {facts['tile']}×{facts['tile']} px, `{facts['variant']}`, {facts['threads']} threads, median of "
        f"{facts['rounds']} rounds in turns. {facts['device']['processor'] or facts['device']['architecture']}, "
        f"{facts['device']['cores']} cores, load {facts['load']} before the run.",
        "",
        "| what | precision | routing | part | unit | MB | ms | 95 % interval | times eager |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in sorted(rows, key=lambda row: (row.part != "network", row.median)):
        interval = "" if row.interval is None else f"{row.interval[0]:.1f} to {row.interval[1]:.1f}"
        faster = "" if row.times_eager is None else f"{row.times_eager:.2f}"
        unsteady = "" if row.steady else " (never settled)"
        lines.append(
            f"| {row.name} | {row.precision} | {row.routing} | {row.part} | {row.unit} | {row.megabytes:.1f} "
            f"| {row.median:.1f}{unsteady} | {interval} | {faster} |"
        )
    return "\n".join([*lines, *_conclusions(rows)]) + "\n"


def _conclusions(rows: Sequence[Row]) -> list[str]:
    """What the table is for, in a line each, as far as the rows are there: runtimes, and frozen against dynamic."""
    lines: list[str] = []
    network = [row for row in rows if row.part == "network"]
    full = sorted((row for row in network if (row.name, row.precision) in _COMPARED), key=lambda row: row.median)
    if len(full) > 1:
        slowest, best = full[-1], full[0]
        lines += [
            "",
            f"At fp32 {slowest.name} takes {slowest.median / best.median:.2f} times as long as {best.name}, the best.",
        ]
    if full and all(row.times_eager for row in full):
        least = min(row.times_eager or 0.0 for row in full)
        lines += [
            "",
            f"Each of {', '.join(row.name for row in full)} is at least {least:.2f} times as fast as eager PyTorch.",
        ]
    eager = {(row.part, row.routing): row for row in rows if row.name == _EAGER}
    gained = {}
    for part in ("branch", "network"):
        frozen, dynamic = eager.get((part, "frozen")), eager.get((part, "dynamic"))
        if frozen and dynamic:
            gained[part] = (dynamic.median / frozen.median, dynamic.megabytes / frozen.megabytes)
    if len(gained) == 2:
        (branch, weights), (network, file) = gained["branch"], gained["network"]
        lines += [
            "",
            "Frozen against dynamic routing, both in eager PyTorch, both computing chosen sub-experts only: the MiM "
            f"branch is {branch:.2f} times faster and its weights {weights:.2f} times smaller; the whole network is "
            f"{network:.2f} times faster and its file {file:.2f} times smaller.",
        ]
    return lines


_COMPARED = {(name, "fp32") for name in ("onnx", "openvino", "litert", "executorch")}  # those made for CPUs
_EAGER, _COMPILED = "PyTorch eager", "PyTorch compiled"


def _bundle(bundle: Bundle, variant: Variant, threads: int, image: np.ndarray, photo: np.ndarray) -> Contender:
    runtime = open_runtime(bundle, variant, tile=image.shape[-1], threads=threads)
    if is_reference(runtime):
        raise BundleError(f"{runtime.name} is a reference for pixels here, never for time")
    manifest, dispatcher = bundle.manifest, bundle.manifest.dispatcher
    entry = bundle.entry(variant, image.shape[-1])
    aside = {dispatcher and dispatcher.file, manifest.golden and manifest.golden.file, entry.golden}
    weights = [file.bytes for file in manifest.files if file.path not in aside]
    return Contender(
        name=runtime.name,
        precision=manifest.precision,
        routing="frozen",
        part="network",
        unit=runtime.unit,
        megabytes=sum(weights) / 1e6,
        call=partial(runtime.run, image, photo),
    )


def contenders_of(folder: Path, image: np.ndarray, photo: np.ndarray) -> list[Contender]:
    """A model folder in PyTorch: whole and compiled, and its MiM branch alone."""
    import torch

    from mimdit.model.checkpoint import load_model

    model: MiMDiT = load_model(folder).eval().requires_grad_(False)
    inputs = torch.from_numpy(image), torch.from_numpy(photo)
    latent = model.codec.encode(inputs[0])[0]
    calls = {
        (_EAGER, "network"): partial(model, *inputs),
        (_COMPILED, "network"): partial(torch.compile(model), *inputs),
        (_EAGER, "branch"): partial(model.guide, inputs[0], latent, inputs[1]),
    }
    size = {"network": model.parameters(), "branch": model.branch.parameters()}
    megabytes = {part: sum(4 * p.numel() for p in parameters) / 1e6 for part, parameters in size.items()}
    return [
        Contender(
            name=name,
            precision="fp32",
            routing="dynamic" if model.shape.plan is None else "frozen",
            part=part,
            unit="cpu",
            megabytes=megabytes[part],
            call=_without_gradients(call),
        )
        for (name, part), call in calls.items()
    ]


def _without_gradients(call: Callable[[], object]) -> Callable[[], object]:
    import torch

    def run() -> object:
        with torch.no_grad():
            return call()

    return run


def main(
    bundles: Annotated[list[Path], typer.Argument(help="Bundles, one a target and precision.")],
    out: Annotated[Path, typer.Option(help="Stem of the files: OUT.json and OUT.md.")],
    model: Annotated[list[Path] | None, typer.Option(help="Model folders to run in PyTorch.")] = None,
    variant: Annotated[str, typer.Option(help="Which variant of the bundles.")] = "denoise",
    tile: Annotated[int, typer.Option(help="Which tile size of the bundles, in px.")] = 256,
    threads: Annotated[int, typer.Option(min=1)] = 2,
    rounds: Annotated[int, typer.Option(min=1, help="Samples of each contender.")] = 31,
) -> None:
    """Latency of one tile by target and precision, against PyTorch in eager mode and compiled."""
    chosen: Variant | None = next((name for name in VARIANTS if name == variant), None)
    if chosen is None:
        raise MimditError(f"no variant {variant!r}: choose from {', '.join(VARIANTS)}")
    image, photo = noise_inputs(tile, np.random.default_rng(0))
    load = round(os.getloadavg()[0], 2)
    contenders: list[Contender] = []
    for path in bundles:
        try:
            contenders.append(_bundle(open_bundle(path), chosen, threads, image, photo))
        except (BundleError, MissingPackageError) as error:
            typer.echo(f"{path.name} is left out: {error}", err=True)
    if model:
        import torch

        torch.set_num_threads(threads)
        contenders += [contender for folder in model for contender in contenders_of(folder, image, photo)]
    rows = measure(contenders, rounds)
    facts = {
        "variant": variant,
        "tile": tile,
        "threads": threads,
        "rounds": rounds,
        "load": load,
        "device": this_device().model_dump(),
        "versions": versions(_PACKAGES),
    }
    table = markdown(rows, facts)
    content = json.dumps({**facts, "rows": [asdict(row) for row in rows]}, indent=1) + "\n"
    write_file(out.with_suffix(".json"), content.encode(), overwrite=True)
    write_file(out.with_suffix(".md"), table.encode(), overwrite=True)
    typer.echo(table)


if __name__ == "__main__":
    run(main)
