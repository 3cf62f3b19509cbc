"""Keeps libraries from writing progress bars and tables to stdout, which is for data, and to stderr."""

import contextlib
import io
from collections.abc import Iterator

__all__ = ["silenced"]


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """What Python code prints inside the block is lost."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
