"""This machine, reached as a device is: for the checks of its profile."""

import shutil
from pathlib import Path

from mimdit.benchmarks.devices.link import Link

__all__ = ["LocalLink"]


class LocalLink(Link):
    def __init__(self) -> None:
        super().__init__("local")

    def _shell(self, command: str) -> str:
        return self._call(["sh", "-c", command])[1]

    def _copy(self, local: Path, remote: str) -> None:
        shutil.copyfile(local, remote)
