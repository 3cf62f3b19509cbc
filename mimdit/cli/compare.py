"""`mimdit compare`."""

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["compare"]


def compare(
    a: Annotated[Path, typer.Argument(metavar="A.json", help="A run file of `mimdit bench`, or a baseline.")],
    b: Annotated[Path, typer.Argument(metavar="B.json", help="Another.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the differences as JSON.")] = False,
) -> None:
    """Print what differs between two runs, and nothing else.

    A time is listed where the 95 % intervals of the medians do not meet, a memory peak from 2 % on, a quality from
    0.005 dB on; machines, versions, sizes and settings whenever they are not equal. This describes and does not judge:
    for a verdict with an exit code see `mimdit gate`. Where anything differs, each device against the reference stands
    first.
    """
    from mimdit.benchmarks.compare import compare as run_compare
    from mimdit.benchmarks.compare import headlines
    from mimdit.benchmarks.run_file import read_run

    one, other = read_run(a), read_run(b)
    found = run_compare(one, other)
    if found:
        found = [*headlines(one, other), *found]
    if as_json:
        typer.echo(json.dumps([difference.model_dump() for difference in found], ensure_ascii=False))
    elif not found:
        typer.echo("nothing differs", err=True)
    else:
        from mimdit.benchmarks.table import TableContent
        from mimdit.cli.tables import data_console, show

        columns = ("bundle", "what", "A", "B", "change")
        rows = tuple(tuple(difference.model_dump().values()) for difference in found)
        show(data_console(), TableContent("Differences", columns, rows), title=False, left=columns)
