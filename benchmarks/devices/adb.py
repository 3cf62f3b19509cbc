"""An Android device, by the binary `adb`."""

from collections.abc import Callable
from pathlib import Path

from mimdit.benchmarks.devices.link import DroppedError, Link

__all__ = ["AdbLink"]


class AdbLink(Link):
    def __init__(self, serial: str, **wait: Callable[[float], object]):
        super().__init__(f"adb://{serial}", **wait)
        self._serial = serial

    def _shell(self, command: str) -> str:
        return self._call(["adb", "-s", self._serial, "shell", command])[1]

    def _copy(self, local: Path, remote: str) -> None:
        code, out = self._call(["adb", "-s", self._serial, "push", str(local), remote])
        if code:
            raise DroppedError(out.strip()[-200:])
