"""`mimdit bisect`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["bisect"]


def bisect(
    good: Annotated[Path, typer.Argument(metavar="GOOD", help="The bundle that was right, NAME.mimdit.")],
    bad: Annotated[Path, typer.Argument(metavar="BAD", help="The one that is worse.")],
    between: Annotated[
        list[Path] | None,
        typer.Option(metavar="BUNDLE", help="One built with some factors of either; repeat for several."),
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Photos, or a data set. [default: example crops]")
    ] = None,
    truth: Annotated[Path | None, typer.Option(metavar="DIR", help="Their truths, under equal names.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Photos of each degradation.")] = 8,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores to use; by default all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Find what made a bundle worse: weights, plan, calibration, precision or converter.

    Each factor in which the two manifests differ is put back, one at a time, and the photos are measured anew: what it
    recovers is what it cost. Where a single one differs, it is named at once, for any target.

    ONNX files are crossed tensor by tensor; nothing is trained or exported. Plan, precision and converter are the graph
    itself where the graphs differ: if several of them do, they are named together. For other targets, and to tell
    those apart, build a bundle with only one of the factors put back and name it with --between.
    """
    from mimdit.benchmarks.bisection import bisect as run
    from mimdit.benchmarks.measured import photo_groups
    from mimdit.bundle import open_bundle

    groups = photo_groups(photos, truth, limit)
    opened = open_bundle(good), open_bundle(bad)
    mixes = [open_bundle(path) for path in between or []]
    found = run(*opened, groups, mixes, threads=threads, tell=lambda line: typer.echo(line, err=True))
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=1))
        return
    typer.echo(f"{found.degradation}: {found.good:.3f} dB in {good}, {found.bad:.3f} dB in {bad}")
    for suspect in found.suspects:
        recovered, lost = (
            "not known" if figure is None else f"{figure:+.3f} dB" for figure in (suspect.recovered, suspect.lost)
        )
        typer.echo(f"{suspect.name}: put back recovers {recovered}, alone costs {lost}")
    if found.culprit and " + " in found.culprit:
        typer.echo("These stand together: build a bundle with one of them put back, and pass it with --between.")
    typer.echo(f"It is the {found.culprit}." if found.culprit else "No factor explains half of a loss.")
