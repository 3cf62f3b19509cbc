"""A table of text, which terminal, Markdown and pages show alike."""

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["TableContent", "markdown_lines"]


class TableContent(NamedTuple):
    """The first column names what a row is of; all others hold figures, or words as short as figures."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def markdown_lines(table: TableContent, text: Callable[[str], str] = str) -> list[str]:
    """The table's lines without its title. text: what makes a cell safe where names come from elsewhere."""
    marks = ("---", *["---:"] * (len(table.columns) - 1))
    return [f"| {' | '.join(map(text, cells))} |" for cells in (table.columns, marks, *table.rows)]
