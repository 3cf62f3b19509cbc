"""Tables on stdout: as wide as a terminal, never folded in a file or a log, readable without colour."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from mimdit.benchmarks.table import TableContent

__all__ = ["data_console", "show"]


def data_console() -> "Console":
    """For stdout; nothing that it prints is markup."""
    from rich.console import Console

    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = 200  # a pipe has no width
    return console


def show(
    console: "Console",
    table: "TableContent",
    *,
    title: bool = True,
    left: Sequence[str] = (),
    styles: Sequence[str] = (),
) -> None:
    """left: columns of words besides the first, figures stand to the right · styles: of the rows, by default none."""
    from rich import box
    from rich.table import Table

    heading = table.title if title else None
    shown = Table(title=heading, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for i, column in enumerate(table.columns):
        if i == 0 or column in left:
            shown.add_column(column)
        else:
            shown.add_column(column, justify="right")
    for i, row in enumerate(table.rows):
        shown.add_row(*row, style=styles[i] if styles else None)
    console.print(shown)
