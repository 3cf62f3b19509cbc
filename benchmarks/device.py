"""Where a figure was measured: the machine, and the versions of what it ran."""

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from pydantic import BaseModel, ConfigDict

from mimdit.cpu import instruction_set, processor

__all__ = ["Device", "this_device", "versions"]


class Device(BaseModel):
    """A machine; null is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str
    architecture: str
    processor: str | None
    cores: int
    instruction_set: tuple[str, ...] = ()


def this_device() -> Device:
    """The machine that this runs on, and the cores that this process may use."""
    return Device(
        system=f"{platform.system()} {platform.release()}",
        architecture=platform.machine(),
        processor=processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        instruction_set=instruction_set(),
    )


def versions(packages: Iterable[str]) -> dict[str, str | None]:
    """Python and those packages, by their names in the index; null where a package is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
