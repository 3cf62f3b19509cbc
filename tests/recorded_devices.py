"""What devices of each profile answered, in the right mode and in a wrong one, and a link that replays it."""

from pathlib import Path

from mimdit.benchmarks.devices.link import Link

PHONE = {
    "settings get global low_power": "0",
    "dumpsys thermalservice": "IsStatusOverride: false\nThermal Status: 0\nCached temperatures:",
    "getprop ro.product.model": "Pixel 9",
    "getprop ro.soc.model": "Tensor G4",
}

RECORDED = {
    "jetson-orin": {
        "nvpmodel -q": "NV Power Mode: MAXN\n0",
        "scaling_min_freq": "1",
        "tegrastats": "01-06-2026 RAM 2000/7620MB CPU [0%@1510] VDD_IN 4800mW/4800mW",
        "nv_tegra_release": "# R36 (release), REVISION: 4.3",
    },
    "apple-silicon": {"pmset -g batt": "Now drawing from 'AC Power'", "pmset -g": " lowpowermode         0"},
    "raspberry-pi": {"get_throttled": "throttled=0x0", "scaling_governor": "performance"},
    "android": PHONE,
    "laptop": {"power_supply": "1"},
}
WRONG = {
    "jetson-orin": ("nvpmodel -q", "NV Power Mode: 15W\n2", "sudo nvpmodel -m 0"),
    "apple-silicon": ("pmset -g batt", "Now drawing from 'Battery Power'", "plug it in"),
    "raspberry-pi": ("get_throttled", "throttled=0x50000", "cool it"),
    "android": ("low_power", "1", "battery saver"),
    "laptop": ("power_supply", "0", "plug it in"),
}


class Replay(Link):
    """Answers commands as recorded."""

    def __init__(self, dialogue: dict[str, str]):
        super().__init__("replay")
        self._dialogue = dialogue

    def _shell(self, command: str) -> str:
        answers = (answer for said, answer in self._dialogue.items() if said in command)
        answer = next(answers, None)
        return "mimdit-exit-code 1" if answer is None else f"{answer}\nmimdit-exit-code 0"

    def _copy(self, local: Path, remote: str) -> None:
        raise AssertionError
