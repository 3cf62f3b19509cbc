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
    for a verdict with an exit code see `mimdit gate`.
    """
    from mimdit.benchmarks.compare import compare as run_compare
    from mimdit.benchmarks.run_file import read_run

    found = run_compare(read_run(a), read_run(b))
    if as_json:
        typer.echo(json.dumps([difference.model_dump() for difference in found], ensure_ascii=False))
        return
    if not found:
        typer.echo("nothing differs", err=True)
        return

    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = 200  # a pipe has no width: never fold a table in a file
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("bundle", "what", "A", "B", "change"):
        table.add_column(column)
    for difference in found:
        table.add_row(*difference.model_dump().values())
    console.print(table)
