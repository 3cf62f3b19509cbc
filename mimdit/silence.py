"""Keeps libraries from writing progress bars and tables to stdout, which is for data, and remarks to stderr."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

__all__ = ["silenced", "unwarned"]


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """What Python code prints inside the block is lost."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def unwarned() -> Iterator[None]:
    """What libraries warn of is lost: APIs that may change, packages that they do without. Errors are not."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
