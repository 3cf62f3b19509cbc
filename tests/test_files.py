"""Files and folders appear whole or not at all: under kill -9, and when the system refuses a call."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mimdit import files
from mimdit.errors import MimditError
from mimdit.files import write_file, write_folder

OLD, NEW = b"old" * 1000, b"new" * 2000


def fill(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "content").write_bytes(NEW)
    (folder / "sub" / "more").write_bytes(NEW)


def write(path: Path, kind: str) -> None:
    if kind == "file":
        write_file(path, NEW, overwrite=True)
    else:
        write_folder(path, fill, overwrite=True)


def content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else (path / "content").read_bytes()


def make_old(path: Path, kind: str) -> None:
    if kind == "folder":
        path.mkdir()
        path = path / "content"
    path.write_bytes(OLD)


@pytest.fixture(params=["file", "folder"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def test_writes_and_makes_missing_folders(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a" / "b" / "out"
    write(path, kind)
    assert content(path) == NEW
    assert os.listdir(path.parent) == ["out"]


def test_content_may_be_a_function_that_seeks(tmp_path: Path) -> None:
    def backwards(file) -> None:
        file.write(b"....end")
        file.seek(0)
        file.write(b"head")

    write_file(tmp_path / "out", backwards)
    assert (tmp_path / "out").read_bytes() == b"headend"


def test_permissions_follow_the_umask(tmp_path: Path, kind: str) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "out", kind)
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == (0o640 if kind == "file" else 0o750)


def test_replaces_only_when_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    make_old(path, kind)
    with pytest.raises(MimditError, match="exists already: pass --overwrite"):
        write_file(path, NEW) if kind == "file" else write_folder(path, fill)
    assert content(path) == OLD
    write(path, kind)
    assert content(path) == NEW
    assert os.listdir(tmp_path) == ["out"]


def test_does_not_replace_what_appeared_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with pytest.raises(MimditError, match="exists already"):
        write_file(path, lambda file: path.write_bytes(OLD))
    with pytest.raises(MimditError, match="exists already"):
        write_folder(tmp_path / "folder", lambda folder: make_old(tmp_path / "folder", "folder"))
    assert content(path) == content(tmp_path / "folder") == OLD


def test_a_file_is_not_replaced_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(OLD)
    with pytest.raises(MimditError, match="expected a folder to replace"):
        write_folder(tmp_path / "out", fill, overwrite=True)
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(MimditError, match="expected a folder to replace"):
        write_folder(tmp_path / "link", fill, overwrite=True)
    assert content(tmp_path / "out") == OLD


def test_an_error_of_the_caller_comes_through(tmp_path: Path) -> None:
    def breaks(_) -> None:
        raise KeyError("caller")

    with pytest.raises(KeyError):
        write_file(tmp_path / "out", breaks)
    with pytest.raises(KeyError):
        write_folder(tmp_path / "out", breaks)
    assert os.listdir(tmp_path) == []


def test_swaps_folders_where_the_system_has_no_exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_swap_in_one_step", lambda one, other: False)
    make_old(tmp_path / "out", "folder")
    write(tmp_path / "out", "folder")
    assert content(tmp_path / "out") == NEW
    assert os.listdir(tmp_path) == ["out"]


# Calls that may be refused, and by whom they are made.
CALLS = {"file": ("open", "fsync", "replace"), "folder": ("mkdir", "open", "fsync", "rename")}
REFUSALS = [
    (kind, call, code) for kind, calls in CALLS.items() for call in calls for code in ("ENOSPC", "EIO", "EACCES")
]


@pytest.mark.parametrize(("kind", "call", "code"), REFUSALS)
@pytest.mark.parametrize("old", [True, False], ids=["replacing", "new"])
def test_refused_calls_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, call: str, code: str, old: bool
) -> None:
    """Each single call of a kind fails once, the first, the second…, until a run needs no further one."""
    if kind == "folder":  # the renames of a swap are seen only where it is not one step of the kernel
        monkeypatch.setattr(files, "_swap_in_one_step", lambda one, other: False)
    reason = os.strerror(getattr(errno, code))
    messages: list[str] = []
    for turn in range(20):
        place = tmp_path / str(turn)
        place.mkdir()
        path = place / "out"
        if old:
            make_old(path, kind)
        message = ""
        with monkeypatch.context() as patch:
            calls = fail_once(patch, call, turn, OSError(getattr(errno, code), reason))
            try:
                write(path, kind)
            except MimditError as error:
                message = str(error)
        if message:
            messages.append(message)
            assert os.listdir(place) == (["out"] if old else []), f"left behind when {call} number {turn} failed"
            assert not old or content(path) == OLD
        else:
            assert content(path) == NEW
        if len(calls) <= turn:  # there was no such call to refuse
            break
    assert messages
    assert all(reason in message and "\n" not in message for message in messages)


def fail_once(patch: pytest.MonkeyPatch, call: str, turn: int, error: OSError) -> list[object]:
    """Let one call of a function of `os` fail, and record all."""
    real: Callable[..., object] = getattr(os, call)
    calls: list[object] = []

    def refuse(*args: object, **kwargs: object) -> object:
        calls.append(args)
        if len(calls) == turn + 1:
            raise error
        return real(*args, **kwargs)

    patch.setattr(os, call, refuse)
    return calls


def test_a_refused_exchange_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(one: Path, other: Path) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    make_old(tmp_path / "out", "folder")
    monkeypatch.setattr(files, "_swap_in_one_step", refuse)
    with pytest.raises(MimditError, match="check the disk"):
        write(tmp_path / "out", "folder")
    assert content(tmp_path / "out") == OLD
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    """A real ENOSPC out of a real write, in the middle of the content."""
    path = tmp_path / "out"
    path.write_bytes(OLD)

    def onto_full_disk(file) -> None:
        file.write(NEW[:100])
        os.dup2(os.open("/dev/full", os.O_WRONLY), file.fileno())
        file.write(NEW)

    with pytest.raises(MimditError, match=r"No space left on device; nothing was changed; free some space"):
        write_file(path, onto_full_disk, overwrite=True)
    assert content(path) == OLD
    assert os.listdir(tmp_path) == ["out"]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(OLD)
    with pytest.raises(MimditError, match="cannot make the folder"):
        write_file(tmp_path / "taken" / "out", NEW)


KILLED = """
import os, signal, sys
from pathlib import Path
from mimdit import files

path, kind, moment = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def half(target):
    if kind == "file":
        target.write(b"new")
        target.flush()
    else:
        (target / "content").write_bytes(b"new")
    if moment == "content":
        die()

def before(owner, name):
    setattr(owner, name, die)

def after(owner, name):
    real = getattr(owner, name)
    setattr(owner, name, lambda *args, **kwargs: (real(*args, **kwargs), die()))

if moment == "flush":
    before(os, "fsync")
elif moment == "rename":
    before(os, "replace") if kind == "file" else before(files, "_swap")
elif moment == "renamed":
    after(os, "replace") if kind == "file" else after(files, "_swap")
write = files.write_file if kind == "file" else files.write_folder
write(path, half, overwrite=True)
"""


@pytest.mark.parametrize("moment", ["content", "flush", "rename", "renamed"])
def test_killed_in_the_middle(tmp_path: Path, kind: str, moment: str) -> None:
    path = tmp_path / "out"
    make_old(path, kind)
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), kind, moment], check=False)
    assert done.returncode == -signal.SIGKILL
    assert content(path) == (b"new" if moment == "renamed" else OLD)
    assert all(name == "out" or name.startswith(".mimdit-") for name in os.listdir(tmp_path))
    write(path, kind)  # the next run needs no cleaning
    assert content(path) == NEW
