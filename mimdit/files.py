"""The two functions that write: what they write appears whole under its name, or not at all.

Both fill an unpredictable name in the same folder (so that the rename stays on one file system and nobody can
prepare a link there), flush it to the disk, rename it, and flush the folder. A kill at any moment leaves the old
file or the new one; at worst a hidden `.mimdit-….tmp` stays behind, which nothing reads and anyone may delete.
On an error nothing stays behind and what had the name before has it still.
"""

import errno
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mimdit.errors import MimditError

__all__ = ["write_file", "write_folder"]

_NEXT_STEP = {
    errno.ENOSPC: "free some space and run it again",
    errno.EDQUOT: "free some space and run it again",
    errno.EACCES: "choose another place or change the permissions",
    errno.EPERM: "choose another place or change the permissions",
    errno.EROFS: "choose another place",
    errno.EIO: "check the disk",
}


def write_file(path: str | Path, content: bytes | Callable[[BinaryIO], object], *, overwrite: bool = False) -> None:
    """Write one file; missing folders are made.

    `content` is the bytes, or a function that writes them into an open binary file (readable and seekable, as
    Pillow's TIFF writer wants it). Raises MimditError, one line, when the name is taken and `overwrite` is not set,
    or when the system refuses; whatever `content` raises comes through.
    """
    path = Path(path)
    _make_folder(path.parent)
    with _in_one_line("write", path):
        _refuse_taken(path, overwrite)
        temporary, old = _hidden_name(path), _hidden_name(path)
        try:
            with open(temporary, "x+b") as file:
                if callable(content):
                    content(file)
                else:
                    file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _refuse_taken(path, overwrite)  # again: making the content may have taken minutes
            with suppress(OSError):  # nothing to keep, or a file system without hard links
                os.link(path, old, follow_symlinks=False)
            os.replace(temporary, path)
            with _undone_on_error(lambda: os.replace(old, path) if old.exists() else path.unlink()):
                _flush(path.parent)
        finally:
            for name in (temporary, old):
                with suppress(OSError):
                    name.unlink()


def write_folder(path: str | Path, fill: Callable[[Path], object], *, overwrite: bool = False) -> None:
    """Write one folder: `fill` gets an empty folder and puts files into it; missing parents are made.

    With `overwrite` an existing folder is replaced in one step and then deleted *with all that it holds*: the caller
    makes sure that it is one of ours. Raises like `write_file`.
    """
    path = Path(path)
    _make_folder(path.parent)
    with _in_one_line("write", path):
        _refuse_taken(path, overwrite)
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise MimditError(f"cannot write {path}: expected a folder to replace, found something else; move it away")
        temporary = _hidden_name(path)
        os.mkdir(temporary)
        try:
            fill(temporary)
            for folder, _, names in os.walk(temporary, topdown=False):
                for name in names:
                    _flush(Path(folder, name))
                _flush(Path(folder))
            _refuse_taken(path, overwrite)
            if path.exists():
                _swap(temporary, path)  # from here on `temporary` is the old folder
                with _undone_on_error(lambda: _swap(temporary, path)):
                    _flush(path.parent)
            else:
                os.rename(temporary, path)
                with _undone_on_error(lambda: os.rename(path, temporary)):
                    _flush(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents, and flush the entries of those that are new."""
    with _in_one_line("make the folder", folder):
        missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for parent in missing:
            _flush(parent.parent)


def _hidden_name(path: Path) -> Path:
    # Not derived from the name: that may already be as long as the file system allows.
    return path.with_name(f".mimdit-{secrets.token_hex(8)}.tmp")


def _refuse_taken(path: Path, overwrite: bool) -> None:
    if not overwrite and os.path.lexists(path):
        raise MimditError(f"{path} exists already: pass --overwrite to replace it, or choose another name")


def _flush(path: Path) -> None:
    """Ask the system to bring a file's content, or a folder's entries, to the disk."""
    if os.name == "nt" and path.is_dir():  # Windows opens no folders, and flushes entries with the file
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _swap(one: Path, other: Path) -> None:
    """Exchange two folders' names, in one step where the system can: a kill never finds `other` missing."""
    if _swap_in_one_step(one, other):
        return
    aside = _hidden_name(other)
    os.rename(other, aside)
    with _undone_on_error(lambda: os.rename(aside, other)):
        os.rename(one, other)
        with _undone_on_error(lambda: os.rename(other, one)):
            os.rename(aside, one)


def _swap_in_one_step(one: Path, other: Path) -> bool:
    """Linux's renameat2 or macOS's renamex_np; False where the system or the file system has no such thing."""
    if sys.platform not in ("linux", "darwin"):
        return False
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    first, second = os.fsencode(one), os.fsencode(other)
    here, exchange = -100, 2  # AT_FDCWD; RENAME_EXCHANGE, and RENAME_SWAP on macOS
    try:
        if sys.platform == "darwin":
            failed = libc.renamex_np(first, second, exchange)
        else:
            failed = libc.renameat2(here, first, here, second, exchange)
    except AttributeError:  # a C library older than the call
        return False
    if not failed:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(other))


@contextmanager
def _undone_on_error(undo: Callable[[], object]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        undo()
        raise


@contextmanager
def _in_one_line(action: str, path: Path) -> Iterator[None]:
    """Turn what the system says into the one line that a person reads."""
    try:
        yield
    except OSError as error:
        step = _NEXT_STEP.get(error.errno or 0, "choose another place")
        raise MimditError(f"cannot {action} {path}: {error.strerror or error}; nothing was changed; {step}") from error
