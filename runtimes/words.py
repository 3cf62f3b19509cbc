"""What C++ libraries write to stderr by themselves: kept from it, where only mimdit's own words go."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator

__all__ = ["kept_words"]


@contextlib.contextmanager
def kept_words() -> Iterator[Callable[[], list[str]]]:
    """Gives what was written inside the block so far, in lines: often the only reason why a file failed.

    It holds for the whole process, so keep the block short.
    """
    # Bindings may write to sys.stderr instead, which in a notebook is not the process's own.
    with tempfile.TemporaryFile() as kept, open(kept.fileno(), "w", closefd=False) as text:

        def words() -> list[str]:
            text.flush()
            kept.seek(0)
            return kept.read().decode(errors="replace").splitlines()

        stderr = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            with contextlib.redirect_stderr(text):
                yield words
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
