"""Apple silicon: processor, GPU and Neural Engine together, as macOS's `powermetrics` estimates them. Root only."""

import re
import shutil
import subprocess
import sys

from mimdit.benchmarks.meters.meter import Meter

__all__ = ["PowermetricsMeter", "joules_in"]

_COMMAND = ("sudo", "-n", "powermetrics", "--samplers", "cpu_power,gpu_power,ane_power", "-i", "100")
_ELAPSED = re.compile(r"\*\*\* Sampled system activity .*\(([\d.]+)ms elapsed\)")
_POWER = re.compile(r"^Combined Power .*: (\d+) mW", re.MULTILINE)


class PowermetricsMeter(Meter):
    name = "powermetrics"

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def hindrance(self) -> str | None:
        if sys.platform != "darwin" or shutil.which("powermetrics") is None:
            return "this is no Mac"
        if subprocess.run([*_COMMAND[:2], "true"], capture_output=True).returncode:
            return "powermetrics is for root: run `sudo -v` before the measurement"
        return None

    def start(self) -> None:
        self._process = subprocess.Popen(_COMMAND, stdout=subprocess.PIPE, text=True)

    def stop(self) -> float:
        if self._process is None:
            raise RuntimeError("stopped without a start")
        self._process.terminate()
        text, _ = self._process.communicate()
        return joules_in(text)


def joules_in(text: str) -> float:
    """What a powermetrics log adds up to. Samples without a combined figure (an Intel Mac) count nothing."""
    total = 0.0
    parts = _ELAPSED.split(text)
    for elapsed, sample in zip(parts[1::2], parts[2::2], strict=True):
        if found := _POWER.search(sample):
            total += float(elapsed) / 1000 * int(found[1]) / 1000
    return total
