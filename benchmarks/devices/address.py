"""Which device is meant: an address, or a name in devices.toml.

[orin]
address = "ssh://nvidia@orin.local"
profile = "jetson-orin"
python = "/usr/bin/python3.10"      # optional, as is folder
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from mimdit.benchmarks.devices.adb import AdbLink
from mimdit.benchmarks.devices.link import Link
from mimdit.benchmarks.devices.local import LocalLink
from mimdit.benchmarks.devices.profiles import PROFILES, Profile, find_profile
from mimdit.benchmarks.devices.ssh import SshLink
from mimdit.errors import MimditError
from mimdit.strict_json import describe

__all__ = ["DEVICES_FILE", "Target", "find_device"]

DEVICES_FILE = Path("devices.toml")

_SSH = re.compile(r"ssh://([A-Za-z0-9._@-]+)(?::(\d+))?")
_ADB = re.compile(r"adb://([A-Za-z0-9.:_-]+)")


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    profile: str = "plain"
    python: str | None = None
    folder: str | None = None


@dataclass(frozen=True)
class Target:
    """A device and what it is held to."""

    link: Link
    profile: Profile

    @property
    def local(self) -> bool:
        return isinstance(self.link, LocalLink)


def find_device(text: str, devices: Path = DEVICES_FILE) -> Target:
    """`local`, `ssh://user@host[:port]`, `adb://serial`, or a name from devices.toml. Raises MimditError."""
    if link := _link(text):
        return Target(link, PROFILES[0])
    entries = _entries(devices)
    if text not in entries:
        known = f"; {devices} names {', '.join(entries)}" if entries else f", and there is no name in {devices}"
        raise MimditError(f"--device {text!r:.60}: expected local, ssh://user@host or adb://serial{known}")
    entry = entries[text]
    link, profile = _link(entry.address), find_profile(entry.profile)
    if link is None:
        raise MimditError(
            f"{devices}, {text}: {entry.address!r:.60} is no address: write ssh://user@host or adb://serial"
        )
    if profile is None:
        known = ", ".join(profile.name for profile in PROFILES)
        raise MimditError(f"{devices}, {text}: no profile {entry.profile!r:.60}: choose from {known}")
    changed = {name: value for name in ("python", "folder") if (value := getattr(entry, name)) is not None}
    return Target(link, replace(profile, **changed))


def _link(address: str) -> Link | None:
    if address == "local":
        return LocalLink()
    if found := _SSH.fullmatch(address):
        return SshLink(found[1], int(found[2]) if found[2] else None)
    if found := _ADB.fullmatch(address):
        return AdbLink(found[1])
    return None


def _entries(path: Path) -> dict[str, _Entry]:
    if not path.is_file():
        return {}
    try:
        import tomllib
    except ModuleNotFoundError:
        raise MimditError(f"{path}: reading TOML takes Python 3.11 or later: name the device by its address") from None
    try:
        return TypeAdapter(dict[str, _Entry]).validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise MimditError(f"{path}: {describe(error)}") from None
    except (OSError, ValueError) as error:
        raise MimditError(f"{path}: cannot be read as TOML: {error!s:.200}") from None
