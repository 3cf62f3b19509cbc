"""The state of the machine around a run: cores, clock, power mode, temperature, load. Read from files, never set."""

import os
from collections.abc import Mapping
from pathlib import Path

from mimdit.benchmarks.run_file import Conditions

__all__ = ["after", "before", "temperatures"]

_ROOT = Path("/")


def before(root: Path = _ROOT) -> Conditions:
    """Now, before anything is measured; `after` completes it. root: where sys/ lies, for tests."""
    return Conditions(
        affinity=tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else None,
        governor=_governor(root),
        power_mode=_power_mode(root),
        temperature_before=temperatures(root),
        temperature_after={},
        load_before=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    )


def after(conditions: Conditions, root: Path = _ROOT) -> Conditions:
    """The same with the temperatures of now, and invalid where clock policy or power mode changed under way."""
    now: Mapping[str, str | None] = {"governor": _governor(root), "power_mode": _power_mode(root)}
    changed = [name for name, value in now.items() if value != getattr(conditions, name)]
    reasons = [f"{name} changed under way from {getattr(conditions, name)} to {now[name]}" for name in changed]
    invalid = "; ".join(filter(None, [conditions.invalid, *reasons])) or None
    return conditions.model_copy(update={"temperature_after": temperatures(root), "invalid": invalid})


def temperatures(root: Path = _ROOT) -> dict[str, float]:
    """Thermal zone → °C; empty where the system shows none."""
    found = {}
    for zone in sorted(root.glob("sys/class/thermal/thermal_zone*")):
        name, value = _text(zone / "type"), _text(zone / "temp")
        if value is not None and value.lstrip("-").isdigit():
            found[f"{name or 'zone'} ({zone.name[len('thermal_zone') :]})"] = int(value) / 1000
    return found


def _governor(root: Path) -> str | None:
    """For example "performance"; several are joined, because cores may differ."""
    names = {_text(path) for path in root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")}
    return "+".join(sorted(filter(None, names))) or None


def _power_mode(root: Path) -> str | None:
    """A laptop's: its profile, and whether it runs from mains or battery. Other devices' come from their profile."""
    profile = _text(root / "sys/firmware/acpi/platform_profile")
    online = [_text(path) for path in sorted(root.glob("sys/class/power_supply/*/online"))]
    source = None if not online else "mains" if "1" in online else "battery"
    return ", ".join(filter(None, [profile, source])) or None


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:  # sensors that are asleep refuse to be read
        return None
