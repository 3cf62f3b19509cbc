"""The power rails of an NVIDIA Jetson: INA3221 monitors, as JetPack 5 and 6 show them in sysfs."""

from pathlib import Path

from mimdit.benchmarks.meters.meter import PowerMeter

__all__ = ["JetsonMeter"]

_WHOLE = "VDD_IN"  # Orin NX and Nano measure the module's input; AGX Orin only the rails behind it
_INSIDE = ("VDDQ_VDD2_1V8AO",)  # fed by VIN_SYS_5V0, and counted there


class JetsonMeter(PowerMeter):
    name = "jetson"

    def __init__(self, root: Path = Path("/"), **clock):
        super().__init__(**clock)
        self._folder = root / "sys/bus/i2c/drivers/ina3221"

    def hindrance(self) -> str | None:
        try:
            return None if self._rails() else "this is no Jetson: no INA3221 power monitor"
        except OSError as error:
            return f"the Jetson's power monitor cannot be read ({error.strerror})"

    def watts(self) -> float:
        return sum(self._rails().values())

    def _rails(self) -> dict[str, float]:
        """The rails that add up to the module, in W."""
        rails: dict[str, float] = {}
        for label in sorted(self._folder.glob("*/hwmon/hwmon*/in[123]_label")):
            name, number = label.read_text().strip(), label.name[2]
            millivolts = float((label.parent / f"in{number}_input").read_text())
            milliamperes = float((label.parent / f"curr{number}_input").read_text())
            if name not in _INSIDE and name != "NC":
                rails[name] = millivolts * milliamperes / 1e6
        return {_WHOLE: rails[_WHOLE]} if _WHOLE in rails else rails
