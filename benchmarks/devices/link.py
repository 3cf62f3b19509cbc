"""What every way to a device is: run a shell command there, copy a file there. Lost connections are tried again."""

import shlex
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar, final

from mimdit.errors import MimditError

__all__ = ["Done", "DroppedError", "Link"]

_T = TypeVar("_T")
_TRIES = 6
_MARK = "mimdit-exit-code"  # tells a command that failed from a connection that did
_TIMEOUT = 600.0  # s for one command or copy; a network that hangs counts as dropped


class Done(NamedTuple):
    """What a command on the device ended with."""

    code: int
    out: str


class DroppedError(Exception):
    """The connection, not the command, failed."""


class Link(ABC):
    """One device. Commands are for a POSIX shell. Subclasses know a binary's arguments, this class what may go wrong.

    wait: called with seconds between two tries; tests pass one that does not sleep.
    """

    def __init__(self, name: str, wait: Callable[[float], object] = time.sleep):
        self.name = name
        self._wait = wait

    @final
    def run(self, command: str) -> Done:
        """Runs it once, whatever happens in between: commands must stand being run twice. Raises MimditError."""
        return self._patiently(lambda: self._run_once(command))

    @final
    def check(self, command: str) -> str:
        """The same for a command that must not fail; returns its output."""
        done = self.run(command)
        if done.code:
            last = (done.out.strip().splitlines() or ["no output"])[-1]
            raise MimditError(f"{self.name}: `{command:.80}` failed with exit code {done.code}: {last:.200}")
        return done.out.strip()

    @final
    def push(self, local: Path, remote: str) -> None:
        """Copies a file; it appears whole under its name, or not at all. A file of that name and size is kept."""
        size, name, part = local.stat().st_size, shlex.quote(remote), shlex.quote(f"{remote}.part")
        if self._size(name) == size:
            return
        for _ in range(_TRIES):
            # Each step is tried again on its own: a line that drops every few seconds still gets somewhere.
            self._patiently(lambda: self._copy(local, f"{remote}.part"))
            if self._size(part) == size:
                self.check(f"mv {part} {name} 2>/dev/null || test -f {name}")  # moved already, if the answer was lost
                return
        raise MimditError(f"{self.name}: {remote} arrived short {_TRIES} times: is there space left on the device?")

    def _size(self, name: str) -> int | None:
        done = self.run(f"wc -c < {name}")
        return int(done.out.split()[0]) if done.code == 0 else None

    def _run_once(self, command: str) -> Done:
        text = self._shell(f"({command}) 2>&1; echo {_MARK} $?")
        out, found, code = text.rpartition(_MARK)
        if not found or not code.strip().isdigit():
            raise DroppedError(text.strip()[-200:] or "no answer")
        return Done(int(code), out)

    def _patiently(self, attempt: Callable[[], _T]) -> _T:
        for number in range(_TRIES - 1):
            try:
                return attempt()
            except DroppedError:
                self._wait(2.0**number)
        try:
            return attempt()
        except DroppedError as dropped:
            raise MimditError(
                f"{self.name}: lost the connection {_TRIES} times, last: {dropped!s:.200}: "
                "run the same command again to go on where it stopped"
            ) from None

    @staticmethod
    def _call(arguments: Sequence[str]) -> tuple[int, str]:
        """Exit code and output of a program here. Raises DroppedError where it hangs, MimditError without it."""
        try:
            done = subprocess.run(arguments, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT)
        except FileNotFoundError:
            raise MimditError(f"{arguments[0]} is not installed: it is what reaches the device") from None
        except subprocess.TimeoutExpired:
            raise DroppedError("no answer in time") from None
        return done.returncode, done.stdout + done.stderr

    @abstractmethod
    def _shell(self, command: str) -> str:
        """Everything that the command prints. What is not the command's own words lacks its last line."""

    @abstractmethod
    def _copy(self, local: Path, remote: str) -> None:
        """Raises DroppedError where it did not get there."""
