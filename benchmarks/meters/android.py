"""An Android device's battery: its voltage times its current, while it discharges."""

from pathlib import Path

from mimdit.benchmarks.meters.meter import PowerMeter

__all__ = ["AndroidMeter"]


class AndroidMeter(PowerMeter):
    """The whole device, screen and radios included: switch off what can be switched off."""

    name = "android"

    def __init__(self, root: Path = Path("/"), **clock):
        super().__init__(**clock)
        self._folder = root / "sys/class/power_supply/battery"

    def hindrance(self) -> str | None:
        try:
            status = (self._folder / "status").read_text().strip()
            self.watts()
        except FileNotFoundError:
            return "this is no Android device: no battery counters"
        except OSError as error:
            return f"the battery's counters cannot be read ({error.strerror})"
        if status != "Discharging":
            return f"the battery is {status.lower()}: unplug the device, and reach it by adb over Wi-Fi"
        return None

    def watts(self) -> float:
        # Kernels disagree on the sign of a current that leaves the battery, so `hindrance` asks for the status.
        microvolts, microamperes = (float((self._folder / f"{n}_now").read_text()) for n in ("voltage", "current"))
        return abs(microvolts * microamperes) / 1e12
