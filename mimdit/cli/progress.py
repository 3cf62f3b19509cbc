"""What a person sees while photos are restored: lines, and on a terminal a bar for each photo in work."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from mimdit.runtimes.tiler import Progress

__all__ = ["Reporter", "reporter"]


class Reporter:
    """Words on stderr. Without a terminal there are no bars."""

    def say(self, line: str) -> None:
        """Print one line."""
        typer.echo(line, err=True)

    @contextmanager
    def photo(self, name: str) -> "Iterator[Progress | None]":
        """A photo begins; gives its tile counter, or None. From any thread."""
        yield None


@contextmanager
def reporter() -> Iterator[Reporter]:
    """A reporter for the stderr that there is."""
    if not sys.stderr.isatty():
        yield Reporter()
        return

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())

    class Bars(Reporter):
        say = staticmethod(console.print)  # type: ignore[assignment]

        @contextmanager
        def photo(self, name: str) -> "Iterator[Callable[[int, int], None]]":
            task = bars.add_task(name, total=None)
            try:
                yield lambda done, total: bars.update(task, completed=done, total=total)
            finally:
                bars.remove_task(task)

    # Left to itself rich would send stdout, the data, to this console as well.
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as bars:
        yield Bars()
