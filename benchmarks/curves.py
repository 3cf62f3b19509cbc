"""Draws what training left behind: loss and validation PSNR over the steps of every stage, and the time that it took.

    python -m mimdit.benchmarks.curves NAME=runs/small/codec/log.jsonl NAME=... --out docs

Each log is one that `mimdit train` writes beside the weights. Writes curves.md, a table with a line a stage, and
curves.png: loss on the left (mean over windows of steps, logarithmic), PSNR per degradation on the right.
"""

import json
import shlex
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from mimdit.benchmarks.table import TableContent, markdown_lines
from mimdit.errors import MimditError
from mimdit.figures import png
from mimdit.files import write_file
from mimdit.script import run

__all__ = ["Curves", "draw", "read_log", "stage_table"]

_WINDOW = 5  # logged losses that are averaged


@dataclass(frozen=True)
class Curves:
    """One log: `loss` f64[N,2] of (step, loss), for every degradation `psnr` f64[M,2] of (step, dB), seconds in all."""

    loss: np.ndarray
    psnr: dict[str, np.ndarray]
    seconds: float


def read_log(path: Path) -> Curves:
    """Raises MimditError where it is no log of `mimdit train`."""
    try:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        loss = np.array([(row["step"], row["loss"]) for row in rows if row.get("loss") is not None])
        clock = [0.0, *(row["seconds"] for row in rows), 0.0]
        seconds = sum(now for now, following in pairwise(clock) if following < now)  # a resumed run starts anew
        kinds = dict.fromkeys(key for row in rows for key in row if key.startswith("psnr_"))
        psnr = {
            kind.removeprefix("psnr_"): np.array([(row["step"], row[kind]) for row in rows if row.get(kind)])
            for kind in kinds
            if any(row.get(kind) for row in rows)
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MimditError(f"{path} is no log of `mimdit train` ({error}): name the log.jsonl of a stage") from None
    return Curves(loss.reshape(-1, 2), psnr, seconds)


def stage_table(logs: dict[str, Curves]) -> TableContent:
    """Steps, minutes, and the first and last validation PSNR of every degradation."""
    rows = []
    for name, curves in logs.items():
        steps = f"{curves.loss[-1, 0]:.0f}" if len(curves.loss) else "0"
        found = ", ".join(f"{kind} {points[0, 1]:.2f} → {points[-1, 1]:.2f}" for kind, points in curves.psnr.items())
        rows.append((name, steps, f"{curves.seconds / 60:.0f}", found))
    return TableContent("Stages", ("stage", "steps", "minutes", "validation, dB, first → last"), tuple(rows))


def draw(logs: dict[str, Curves], path: Path) -> None:
    """Write the picture as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 2.2 * len(logs)), layout="constrained")
    for row, (name, curves) in enumerate(logs.items()):
        left, right = (figure.add_subplot(len(logs), 2, 2 * row + column) for column in (1, 2))
        whole = len(curves.loss) // _WINDOW * _WINDOW
        if whole:
            smooth = curves.loss[:whole].reshape(-1, _WINDOW, 2).mean(1)
            left.plot(smooth[:, 0], smooth[:, 1], color="0.3")
            left.set_yscale("log")
        left.set_title(f"{name}: loss", fontsize=9)
        for kind, points in curves.psnr.items():
            right.plot(points[:, 0], points[:, 1], marker=".", label=kind)
        right.set_title(f"{name}: validation PSNR, dB", fontsize=9)
        if curves.psnr:
            right.legend(fontsize=6, ncols=2)
        for axes in (left, right):
            axes.tick_params(labelsize=7)
            axes.grid(alpha=0.3)
    write_file(path, png(figure, 90), overwrite=True)


def main(
    logs: Annotated[list[str], typer.Argument(metavar="NAME=LOG...", help="Stages, in the order of the picture.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for curves.md and curves.png.")] = Path("docs"),
) -> None:
    """Draw loss and validation PSNR of every stage."""
    named = [text.partition("=") for text in logs]
    if wrong := [name for name, equals, _ in named if not equals]:
        raise typer.BadParameter(f"'{wrong[0]}': write NAME=runs/…/log.jsonl")
    curves = {name: read_log(Path(path)) for name, _, path in named}
    draw(curves, out / "curves.png")
    command = shlex.join(["python", "-m", "mimdit.benchmarks.curves", *sys.argv[1:]])
    lines = [
        "# How it was trained: the curves",
        "",
        f"Generated: `{command}`",
        "",
        *markdown_lines(stage_table(curves)),
    ]
    lines += ["", "Minutes are of one core that other work shared at times.", "", "![curves](curves.png)", ""]
    write_file(out / "curves.md", "\n".join(lines).encode(), overwrite=True)


if __name__ == "__main__":
    run(main)
