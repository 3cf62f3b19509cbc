"""Bundles for every target and precision, each built by `mimdit build` in a process of its own, and a table of them.

    python -m mimdit.export.all_targets runs/small/variants -o bundles --variant denoise

A process each, because the targets' libraries do not live together for long. A folder that has a bundle already keeps
it, so that an interrupted run goes on. Exit code 1 where one could not be built.
"""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mimdit.bundle import open_bundle
from mimdit.errors import MimditError
from mimdit.export import EXPORTERS
from mimdit.export.converter import Converter
from mimdit.manifest import ModelEntry
from mimdit.script import run
from mimdit.targets import Precision

__all__ = ["main", "markdown"]


@dataclass(frozen=True)
class Built:
    """What became of one target at one precision; `fault` is the last line of a build that failed."""

    target: str
    precision: Precision
    megabytes: float = 0.0
    models: tuple[ModelEntry, ...] = ()
    seconds: float | None = None  # null where the bundle was there already
    fault: str | None = None


def markdown(rows: list[Built]) -> str:
    """A table, a line a bundle; of several models in it the worst counts."""
    lines = [
        "| target | precision | MB | parity | max error | where | mean error | PSNR | kept in fp32 | built in |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [row.target, row.precision, f"{row.megabytes:.1f}", *_parity(row)]
        cells.append("" if row.seconds is None else f"{row.seconds:.0f} s")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _parity(row: Built) -> list[str]:
    if row.fault is not None:
        return [f"FAILED: {row.fault}", "", "", "", "", ""]
    kept = str(max(len(model.kept_fp32) for model in row.models))
    worst = max((model.parity for model in row.models), key=lambda parity: parity.max_error or 0.0)
    if worst.max_error is None or worst.mean_error is None:
        return [f"not measured: {worst.reason}", "", "", "", "", kept]
    decibels = [model.parity.psnr for model in row.models if model.parity.psnr is not None]
    psnr = f"{min(decibels):.1f} dB" if decibels else "equal"
    return ["passed", f"{worst.max_error:.1e}", worst.where or "", f"{worst.mean_error:.1e}", psnr, kept]


def _build(models: Path, converter: Converter, precision: Precision, folder: Path, options: list[str]) -> Built:
    path, began = folder / f"{converter.target}-{precision}.mimdit", time.monotonic()
    fresh = not path.exists()
    if fresh:
        command = [sys.executable, "-m", "mimdit", "build", str(models), "-o", str(path), *options]
        command += ["--target", converter.target, "--precision", precision]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            return Built(converter.target, precision, fault=(done.stderr.strip().splitlines() or ["no word"])[-1])
    manifest = open_bundle(path).manifest
    size = sum(file.bytes for file in manifest.files) / 1e6
    seconds = time.monotonic() - began if fresh else None
    return Built(converter.target, precision, size, manifest.models, seconds)


def main(
    models: Annotated[Path, typer.Argument(help="Folder with one frozen variant each.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for TARGET-PRECISION.mimdit.")],
    variant: Annotated[str, typer.Option(help="NAME[,NAME] or all.")] = "all",
    tile: Annotated[str, typer.Option(help="Tile sides in px.")] = "256",
    target: Annotated[str, typer.Option(help="NAME[,NAME] or all.")] = "all",
) -> None:
    """Build bundles for every target and precision that can be built here; print their parity in Markdown."""
    names = target.split(",")
    chosen = [c for c in EXPORTERS if target == "all" or c.target in names]
    if not chosen:
        raise MimditError(f"no target is called {target}: choose from {', '.join(c.target for c in EXPORTERS)}")
    rows: list[Built] = []
    for converter in chosen:
        if missing := converter.missing():
            typer.echo(f"{converter.target} is left out: {missing[0]} is not installed", err=True)
            continue
        for precision in converter.precisions:
            rows.append(_build(models, converter, precision, out, ["--variant", variant, "--tile", tile]))
            typer.echo(f"{converter.target} {precision}: {rows[-1].fault or 'built'}", err=True)
    typer.echo(markdown(rows))
    if any(row.fault for row in rows):
        raise typer.Exit(1)


if __name__ == "__main__":
    run(main)
