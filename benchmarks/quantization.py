"""What every target and precision costs: the tables and the crops of docs/quantization.md, by one command.

    python -m mimdit.benchmarks.quantization FP32.mimdit OTHER.mimdit… --data DIR --limit 4 --page docs/quantization.md

The first bundle is what the others are held to, degradation by degradation, with the variant that belongs to each.
Times are those of one tile of its first variant, the bundles of one target in turns: in an app one network runs tile
after tile, not thirteen. The crops are of the package's CC0 photos.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer

from mimdit.benchmarks.accuracy import evaluate
from mimdit.benchmarks.accuracy_report import Report
from mimdit.benchmarks.datasets import Group, example_groups, manifest_groups, select
from mimdit.benchmarks.device import this_device
from mimdit.benchmarks.latency import noise_inputs, timings
from mimdit.benchmarks.methods import MATCHED, bundle_method
from mimdit.benchmarks.table import TableContent, markdown_lines
from mimdit.bundle import Bundle, open_bundle
from mimdit.errors import MimditError
from mimdit.example_photos import EXAMPLES, read_examples
from mimdit.files import write_file
from mimdit.image import load
from mimdit.runtimes import open_runtime
from mimdit.runtimes.restore import restore
from mimdit.script import run

__all__ = ["Line", "crops", "lines", "markdown"]

_BEGIN, _END = "<!-- measured: begin -->", "<!-- measured: end -->"
_CROP = 96  # px


@dataclass(frozen=True)
class Line:
    """A bundle: MB of its model files, ms a tile by number of threads, and dB of PSNR per degradation."""

    target: str
    precision: str
    megabytes: float
    milliseconds: dict[int, float]
    psnr: dict[str, float]
    defects: int  # photos with a black tile or that could not be restored


def lines(bundles: Sequence[Bundle], groups: Sequence[Group], threads: Sequence[int], samples: int) -> list[Line]:
    """Measure all bundles; photos a degradation are averaged. They are restored by the last number of threads."""
    times: list[dict[int, float]] = [{} for _ in bundles]
    for target in dict.fromkeys(bundle.manifest.target for bundle in bundles):
        alike = [i for i, bundle in enumerate(bundles) if bundle.manifest.target == target]
        for number in threads:
            found = _milliseconds([bundles[i] for i in alike], number, samples)
            for i, milliseconds in zip(alike, found, strict=True):
                times[i][number] = milliseconds
    measured = []
    for bundle, milliseconds in zip(bundles, times, strict=True):
        report = evaluate(groups, [bundle_method(bundle, [MATCHED], threads[-1])], command="")
        measured.append(
            Line(
                bundle.manifest.target,
                bundle.manifest.precision,
                _megabytes(bundle),
                milliseconds,
                _means(report),
                sum(bool(row.error) or bool(row.defects and row.defects.black_blocks) for row in report.rows),
            )
        )
    return measured


def _milliseconds(bundles: Sequence[Bundle], threads: int, samples: int) -> list[float]:
    """Median of a tile."""
    rng = np.random.default_rng(0)
    calls = []
    for bundle in bundles:
        runtime = open_runtime(bundle, bundle.variants[0], threads=threads)
        calls.append(partial(runtime.run, *noise_inputs(runtime.tile, rng)))
    return [1e3 * median(timing.seconds) for timing in timings(calls, samples=samples)]


def _megabytes(bundle: Bundle) -> float:
    """Of what the models are, with the weights that they share; not of dispatcher, cards and pictures."""
    dispatcher = bundle.manifest.dispatcher
    aside = (".md", ".png", ".json")
    return (
        sum(
            file.bytes
            for file in bundle.manifest.files
            if not file.path.endswith(aside) and (dispatcher is None or file.path != dispatcher.file)
        )
        / 1e6
    )


def _means(report: Report) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for row in report.rows:
        if row.restored.psnr is not None and row.degradation != "clean":
            found.setdefault(f"{row.degradation} ({row.dataset})", []).append(row.restored.psnr)
    return {name: float(np.mean(values)) for name, values in found.items()}


def markdown(found: Sequence[Line], facts: str) -> str:
    """Two tables: MB and ms beside fp32 of the same target; and dB of the first bundle, and what the others lose."""
    first = found[0]
    twins = {line.target: line for line in reversed(found) if line.precision == "fp32"}
    names = ("target", "precision")
    times = (name for n in first.milliseconds for name in (f"ms, {n} thread{'s' * (n > 1)}", "× as fast"))
    costs, losses = [], []
    for line in found:
        twin = twins.get(line.target)
        cost = [f"{line.megabytes:.2f}", f"{line.megabytes / twin.megabytes:.3f}" if twin else ""]
        for number, milliseconds in line.milliseconds.items():
            cost += [f"{milliseconds:.1f}", f"{twin.milliseconds[number] / milliseconds:.2f}" if twin else ""]
        loss = [_change(line.psnr.get(kind), None if line is first else db) for kind, db in first.psnr.items()]
        costs.append((line.target, line.precision, *cost))
        losses.append((line.target, line.precision, *loss))
    tables = [
        TableContent("cost", (*names, "MB", "of fp32", *times), tuple(costs)),
        TableContent("loss", (*names, *first.psnr), tuple(losses)),
    ]
    broken = sum(line.defects for line in found)
    ending = f"Photos with a black tile, or not restored: {broken}."
    return "\n".join([facts, *(line for table in tables for line in ("", *markdown_lines(table))), "", ending]) + "\n"


def _change(found: float | None, before: float | None) -> str:
    """dB, or beside another figure what is gained; empty where there is none."""
    if found is None:
        return ""
    return f"{found:.2f} dB" if before is None else f"{found - before:+.3f}"


def crops(before: Bundle, after: Bundle) -> np.ndarray:
    """u8: a row for each example photo: restored by the one, by the other, and their difference × 8 around grey."""
    from PIL import Image

    rows = []
    for example in read_examples():
        if example.variant in before.variants and example.variant in after.variants:
            photo = load(EXAMPLES / example.degraded).pixels
            top, left = (size // 2 - _CROP // 2 for size in photo.shape[:2])
            cut = np.s_[top : top + _CROP, left : left + _CROP]
            first, second = (restore(photo, bundle, variant=example.variant)[cut] for bundle in (before, after))
            difference = (128 + 8 * (second.astype(int) - first.astype(int))).clip(0, 255).astype(np.uint8)
            rows.append(np.concatenate([first, second, difference], 1))
    if not rows:
        raise MimditError("the two bundles have no variant of an example photo in common")
    whole = Image.fromarray(np.concatenate(rows))
    return np.asarray(whole.resize((2 * whole.width, 2 * whole.height), Image.Resampling.NEAREST))


def main(
    bundles: Annotated[list[Path], typer.Argument(help="Bundles; the first is what the others are held to.")],
    page: Annotated[Path, typer.Option(help="The page whose measured part is replaced.")],
    data: Annotated[Path | None, typer.Option(help="A data set. [default: the example photos]")] = None,
    only: Annotated[str, typer.Option(help="Degradations or data sets, NAME[,NAME].")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Photos of each degradation.")] = 4,
    threads: Annotated[
        list[int] | None, typer.Option(min=1, help="Threads to time with, may be repeated; 1 and 2 by default.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Times of each bundle.")] = 31,
) -> None:
    """Measure bundles of one network and write the tables and the crops into a page."""
    from PIL import Image

    opened = [open_bundle(path) for path in bundles]
    groups = example_groups() if data is None else manifest_groups(data)
    names = [name for name in only.split(",") if name]
    load_found = os.getloadavg()[0]
    found = lines(opened, select(groups, names, limit), threads or [1, 2], samples)
    device = this_device()
    processor = device.processor or device.architecture
    made_by = {name: number for bundle in opened for name, number in bundle.manifest.built_with.items()}
    versions = ", ".join(f"{name} {number}" for name, number in sorted(made_by.items()))
    facts = (
        f"At most {limit} photos of each degradation; median of {samples} tiles, bundles of a target in turns. "
        f"{processor}, {device.cores} cores, load {load_found:.1f} before the run; {versions}."
    )
    parts = [markdown(found, facts)]
    quantized = next((bundle for bundle in opened if bundle.manifest.precision == "w8a8"), None)
    if quantized is not None:
        picture = page.with_name(f"{page.stem}.png")
        write_file(picture, lambda file: Image.fromarray(crops(opened[0], quantized)).save(file, "PNG"), overwrite=True)
        parts.append(f"\n![Restored at fp32, at w8a8, and their difference × 8]({picture.name})\n")
    text = page.read_text(encoding="utf-8")
    if _BEGIN not in text or _END not in text:
        raise MimditError(f"{page}: expected the lines {_BEGIN} and {_END}, between which the table goes")
    head, rest = text.split(_BEGIN)
    new = f"{head}{_BEGIN}\n{''.join(parts)}{_END}{rest.split(_END)[1]}"
    write_file(page, new.encode(), overwrite=True)
    typer.echo(parts[0])


if __name__ == "__main__":
    run(main)
