"""What every attack on a bundle must end in: one line, and no file outside opened."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mimdit.bundle import open_bundle
from mimdit.errors import BundleError


def refused(folder: Path, message: str) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        open_bundle(folder)
    assert str(caught.value).isprintable()  # one line, no escape sequence


_listeners: list[list[Path]] = []


def _note_opened(event: str, arguments: tuple) -> None:
    if event == "open" and _listeners and isinstance(arguments[0], str | bytes | os.PathLike):
        _listeners[-1].append(Path(os.path.abspath(os.fsdecode(arguments[0]))))


sys.addaudithook(_note_opened)  # cannot be removed again: one for all tests, idle outside `opened_files`


@contextmanager
def opened_files() -> Iterator[list[Path]]:
    """The paths that Python opens inside the block."""
    _listeners.append([])
    try:
        yield _listeners[-1]
    finally:
        _listeners.pop()


def stayed_inside(opened: list[Path], folder: Path) -> bool:
    """Only the folder's own files were opened (and those of Python), and some were."""
    ours = [path for path in opened if folder.parent in path.parents]
    return bool(ours) and all(folder in path.parents for path in ours)
