"""Kinds of devices: where things go there, and in which power mode a run is valid. A run in another mode is invalid,
not slow."""

import re
from dataclasses import dataclass

from mimdit.benchmarks.devices.link import Link

__all__ = ["PROFILES", "Profile", "Requirement", "find_profile", "notes", "wrong_mode"]


@dataclass(frozen=True)
class Requirement:
    """One condition: what a command prints must contain `expected`, a regular expression. fix: what to do if not."""

    what: str
    command: str
    expected: str
    fix: str


@dataclass(frozen=True)
class Profile:
    """folder: where files go, below the home folder unless absolute · notes: name → command whose first line is kept
    in the run file."""

    name: str
    requirements: tuple[Requirement, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    python: str = "python3"
    folder: str = ".cache/mimdit-bench"


_MAINS = Requirement(
    "power supply",
    "cat /sys/class/power_supply/*/online 2>/dev/null || echo 1",  # a machine without a battery shows none
    r"^1$",
    "plug it in",
)
_FIXED_CLOCK = Requirement(
    "clock",
    "cd /sys/devices/system/cpu/cpu0/cpufreq && cat scaling_min_freq scaling_max_freq | uniq | wc -l",
    r"^\s*1\s*$",
    "sudo jetson_clocks",
)
_GOVERNOR = Requirement(
    "governor",
    "cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
    r"^performance$",
    "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
)

PROFILES = (
    Profile("plain"),
    Profile(
        "jetson-orin",
        (Requirement("power mode", "nvpmodel -q", r"MAXN", "sudo nvpmodel -m 0"), _FIXED_CLOCK),
        (
            ("tegrastats", "timeout 3 tegrastats --interval 500 | head -n 1"),
            ("release", "head -n 1 /etc/nv_tegra_release"),
        ),
    ),
    Profile(
        "apple-silicon",
        (
            Requirement("low power mode", "pmset -g", r"lowpowermode\s+0", "sudo pmset -a lowpowermode 0"),
            Requirement("power supply", "pmset -g batt", r"AC Power", "plug it in"),
        ),
        (("chip", "sysctl -n machdep.cpu.brand_string"), ("thermal", "pmset -g therm | tail -n 1")),
    ),
    Profile(
        "raspberry-pi",
        (
            Requirement("throttling", "vcgencmd get_throttled", r"throttled=0x0", "cool it, use the official supply"),
            _GOVERNOR,
        ),
        (("model", "tr -d '\\0' < /proc/device-tree/model"), ("clock", "vcgencmd measure_clock arm")),
    ),
    Profile(
        "android",
        (
            Requirement("battery saver", "settings get global low_power", r"^0$", "switch battery saver off"),
            Requirement("thermal status", "dumpsys thermalservice", r"Thermal Status: 0", "let it cool down"),
        ),
        (("model", "getprop ro.product.model"), ("chip", "getprop ro.soc.model")),
        folder="/data/local/tmp/mimdit-bench",
    ),
    Profile("laptop", (_MAINS,), (("profile", "cat /sys/firmware/acpi/platform_profile"),)),
)


def find_profile(name: str) -> Profile | None:
    return next((profile for profile in PROFILES if profile.name == name), None)


def wrong_mode(link: Link, profile: Profile) -> str | None:
    """What is not as the profile wants it, with what to do; None where all is."""
    for requirement in profile.requirements:
        seen = link.run(requirement.command).out.strip()
        if not re.search(requirement.expected, seen, re.MULTILINE):
            first = (seen.splitlines() or ["nothing"])[0]
            return f"{requirement.what}: expected {requirement.expected!r}, found {first!r:.80}: {requirement.fix}"
    return None


def notes(link: Link, profile: Profile) -> dict[str, str]:
    """What the device says of itself; what fails there is left out."""
    found = {name: link.run(command) for name, command in profile.notes}
    said = {name: done.out.strip().splitlines() for name, done in found.items() if not done.code}
    return {name: lines[0][:500] for name, lines in said.items() if lines}
