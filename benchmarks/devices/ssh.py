"""A device behind ssh, by the binaries `ssh` and `scp`: keys, agents and ~/.ssh/config work as they always do."""

from collections.abc import Callable
from pathlib import Path

from mimdit.benchmarks.devices.link import DroppedError, Link

__all__ = ["SshLink"]

# Never ask: nobody may be there to answer. A silent peer counts as gone after 45 s.
_OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=15")


class SshLink(Link):
    """destination: user@host · options: for ssh and scp alike, tests name their own configuration with them."""

    def __init__(
        self,
        destination: str,
        port: int | None = None,
        options: tuple[str, ...] = (),
        **wait: Callable[[float], object],
    ):
        super().__init__(f"ssh://{destination}", **wait)
        self._destination = destination
        self._options = (*_OPTIONS, *(("-o", f"Port={port}") if port else ()), *options)

    def _shell(self, command: str) -> str:
        return self._call(["ssh", *self._options, self._destination, command])[1]

    def _copy(self, local: Path, remote: str) -> None:
        code, out = self._call(["scp", "-q", *self._options, str(local), f"{self._destination}:{remote}"])
        if code:
            raise DroppedError(out.strip()[-200:])
