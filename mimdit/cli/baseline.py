"""`mimdit baseline`."""

import shlex
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer

from mimdit.cli.steps_bar import steps_bar

__all__ = ["baseline"]

_NEW = "A run file of `mimdit bench`, or a bundle NAME.mimdit, measured now; by default the embedded bundle."


def baseline(
    new: Annotated[Path | None, typer.Argument(metavar="RUN|BUNDLE", help=_NEW)] = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="BASE.json", help="The baseline; commit it.")],
    reason: Annotated[str, typer.Option(help="Why this run is accepted: for the one who reads the diff.")],
    photos: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="What a bundle restores: photos, or a data set. [default: example crops]"),
    ] = None,
    truth: Annotated[Path | None, typer.Option(metavar="DIR", help="Their truths, under equal names.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Photos of each degradation. [default: 40 crops]")] = None,
    golden: Annotated[Path | None, typer.Option(metavar="DIR", help="Hold a bundle's photos to a golden, too.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores to use; by default all.")] = None,
) -> None:
    """Accept a run as the baseline that `mimdit gate` holds later ones to.

    A baseline that is there already is replaced, and its anchor taken over: the best that each degradation ever
    reached. So losses that are too small for one gate cannot add up unseen. To begin a new line, after a loss that you
    chose to accept, delete the file first.
    """
    from mimdit.benchmarks.baseline import accept
    from mimdit.benchmarks.golden import open_golden
    from mimdit.benchmarks.measured import measure, photo_groups
    from mimdit.benchmarks.run_file import read_run, write_run
    from mimdit.bundle import SUFFIX, open_bundle

    previous = read_run(out) if out.exists() else None
    if new is not None and new.suffix != SUFFIX:
        run = read_run(new)
    else:
        bundle, groups = open_bundle(new), photo_groups(photos, truth, limit)
        held_to = None if golden is None else open_golden(golden)
        command = shlex.join(["mimdit", *sys.argv[1:]])
        with steps_bar() as progress:
            run = measure([bundle], groups, command=command, threads=threads, golden=held_to, progress=progress)
    accepted = accept(run, reason, datetime.now(timezone.utc).isoformat(timespec="seconds"), previous)
    write_run(accepted, out, overwrite=True)
    count = len(accepted.results[0].images)
    typer.echo(f"{out}: {accepted.results[0].name}, {count} photos; commit it", err=True)
