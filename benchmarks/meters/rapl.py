"""Intel's and AMD's RAPL counters, through Linux's powercap: processor packages and, where apart, their memory."""

from pathlib import Path

from mimdit.benchmarks.meters.meter import Meter

__all__ = ["RaplMeter"]


class RaplMeter(Meter):
    """Counters in µJ that begin again at a limit."""

    name = "rapl"

    def __init__(self, root: Path = Path("/")):
        self._folder = root / "sys/class/powercap"
        self._began: dict[Path, int] = {}

    def hindrance(self) -> str | None:
        zones = self._zones()
        if not zones:
            return "this system has no powercap counters"
        try:
            self._read(zones[0])
        except OSError:
            return f"{zones[0] / 'energy_uj'} may be read by root only"
        return None

    def start(self) -> None:
        self._began = {zone: self._read(zone) for zone in self._zones()}

    def stop(self) -> float:
        total = 0
        for zone, began in self._began.items():
            used = self._read(zone) - began
            if used < 0:  # once around; a package at 100 W takes more than half an hour for a round
                used += int((zone / "max_energy_range_uj").read_text())
            total += used
        return total / 1e6

    def _zones(self) -> list[Path]:
        """Packages, and memory beside them: what lies inside a package (core, uncore) is counted with it."""
        zones = []
        for zone in sorted(self._folder.glob("intel-rapl:*")):
            name = (zone / "name").read_text().strip() if (zone / "name").is_file() else ""
            if name.startswith("package") or name == "dram":
                zones.append(zone)
        return zones

    @staticmethod
    def _read(zone: Path) -> int:
        return int((zone / "energy_uj").read_text())
