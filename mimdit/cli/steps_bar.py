"""A bar for work of a known number of steps, drawn only when a step is done: never beside what is being timed."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["steps_bar"]


@contextmanager
def steps_bar() -> Iterator[Callable[[int], Callable[[], object]]]:
    """Gives a function: the number of steps → what is called after each. Without a terminal nothing is drawn."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Left to itself rich would send stdout, the data, to this console as well.
    quiet = {"console": console, "transient": True, "redirect_stdout": False, "redirect_stderr": False}
    with Progress(*columns, **quiet, auto_refresh=False, disable=not sys.stderr.isatty()) as bar:

        def begin(total: int) -> Callable[[], object]:
            task = bar.add_task("measuring", total=total)
            return lambda: bar.update(task, advance=1, refresh=True)

        yield begin
