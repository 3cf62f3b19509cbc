"""Energy meters replay what real machines showed; where there is no meter there is a reason."""

import ctypes
from pathlib import Path

import pytest

from mimdit.benchmarks.meters import METERS, measure_energy
from mimdit.benchmarks.meters.android import AndroidMeter
from mimdit.benchmarks.meters.jetson import JetsonMeter
from mimdit.benchmarks.meters.meter import Meter, joules_of
from mimdit.benchmarks.meters.nvml import NvmlMeter
from mimdit.benchmarks.meters.powermetrics import joules_in
from mimdit.benchmarks.meters.rapl import RaplMeter

ROUND = 262143328850  # µJ, at which a laptop's package counter begins again


def files(root: Path, contents: dict[str, object]) -> None:
    for name, text in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


def rapl(root: Path, package: int, core: int, dram: int) -> None:
    zones = {"intel-rapl:0": ("package-0", package), "intel-rapl:0:0": ("core", core), "intel-rapl:0:1": ("dram", dram)}
    zones["intel-rapl:1"] = ("psys", 10**9)
    for zone, (name, energy) in zones.items():
        folder = f"sys/class/powercap/{zone}"
        files(
            root, {f"{folder}/name": name, f"{folder}/energy_uj": energy, f"{folder}/max_energy_range_uj": 262143328850}
        )


def test_rapl_adds_packages_and_memory_and_goes_round(tmp_path: Path) -> None:
    meter = RaplMeter(tmp_path)
    assert meter.hindrance() == "this system has no powercap counters"
    rapl(tmp_path, package=ROUND - 4_000_000, core=7, dram=1_000_000)
    assert meter.hindrance() is None
    meter.start()
    rapl(tmp_path, package=6_000_000, core=9, dram=3_500_000)
    assert meter.stop() == pytest.approx(10 + 2.5)


def test_rapl_for_root_only_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rapl(tmp_path, 1, 1, 1)

    def refuse(zone: Path) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(RaplMeter, "_read", staticmethod(refuse))
    assert "root only" in str(RaplMeter(tmp_path).hindrance())


class _Nvml:
    """Two GPUs; `energies` are the answers of the counter in turn, in mJ."""

    def __init__(self, energies: list[int], answer: int = 0):
        self._energies, self._answer = iter(energies), answer

    def nvmlInit_v2(self) -> int:  # noqa: N802
        return self._answer

    def nvmlDeviceGetCount_v2(self, count) -> int:  # noqa: N802
        count._obj.value = 2
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index, device) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, device, energy) -> int:  # noqa: N802
        energy._obj.value = next(self._energies)
        return 0


def test_nvml_adds_all_gpus() -> None:
    meter = NvmlMeter(_Nvml([1, 1, 1000, 2000, 4500, 2500]))
    assert meter.hindrance() is None
    meter.start()
    assert meter.stop() == pytest.approx(4.0)
    assert NvmlMeter(_Nvml([], answer=9)).hindrance() == "nvmlInit_v2 of the NVIDIA driver answered 9"


def test_nvml_without_a_driver_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert NvmlMeter().hindrance() == "this system has no NVIDIA driver"


def rails(root: Path, address: str, found: dict[str, tuple[int, int]]) -> None:
    folder = f"sys/bus/i2c/drivers/ina3221/1-00{address}/hwmon/hwmon3"
    for number, (name, (millivolts, milliamperes)) in enumerate(found.items(), start=1):
        files(root, {f"{folder}/in{number}_label": name, f"{folder}/in{number}_input": millivolts})
        files(root, {f"{folder}/curr{number}_input": milliamperes})


def test_a_jetson_orin_nano_counts_its_input_alone(tmp_path: Path) -> None:
    assert "no Jetson" in str(JetsonMeter(tmp_path).hindrance())
    rails(tmp_path, "40", {"VDD_IN": (5000, 1400), "VDD_CPU_GPU_CV": (5000, 400), "VDD_SOC": (5000, 300)})
    assert JetsonMeter(tmp_path).hindrance() is None
    assert JetsonMeter(tmp_path).watts() == pytest.approx(7.0)


def test_an_agx_orin_adds_its_rails_but_what_lies_inside_another(tmp_path: Path) -> None:
    rails(tmp_path, "40", {"VDD_GPU_SOC": (19000, 200), "VDD_CPU_CV": (19000, 100), "VIN_SYS_5V0": (5000, 800)})
    rails(tmp_path, "41", {"NC": (0, 0), "VDDQ_VDD2_1V8AO": (5000, 100)})
    assert JetsonMeter(tmp_path).watts() == pytest.approx(3.8 + 1.9 + 4.0)


def test_power_is_integrated_over_a_replayed_trace(tmp_path: Path) -> None:
    trace = iter([(0.0, 2000), (0.1, 4000), (0.3, 4000)])  # s, mA at 5 V: 10 W, 20 W, 20 W
    now = 0.0

    meter = JetsonMeter(tmp_path, clock=lambda: now)
    meter._times, meter._watts = [], []
    for now, milliamperes in trace:  # noqa: B007
        rails(tmp_path, "40", {"VDD_IN": (5000, milliamperes)})
        meter.sample()
    assert joules_of(meter._times, meter._watts) == pytest.approx(1.5 + 4.0)


def test_a_power_meter_watches_from_a_thread_of_its_own(tmp_path: Path) -> None:
    rails(tmp_path, "40", {"VDD_IN": (5000, 1000)})
    meter = JetsonMeter(tmp_path)
    meter.start()
    assert meter.stop() >= 0


LOG = """Machine model: Mac14,2
*** Sampled system activity (Tue Jan  6 10:00:00 2026 +0000) (100.50ms elapsed) ***

**** Processor usage ****
CPU Power: 1900 mW
GPU Power: 40 mW
ANE Power: 60 mW
Combined Power (CPU + GPU + ANE): 2000 mW

*** Sampled system activity (Tue Jan  6 10:00:00 2026 +0000) (200.00ms elapsed) ***

CPU Power: 990 mW
Combined Power (CPU + GPU + ANE): 1000 mW
"""


def test_a_powermetrics_log_adds_up() -> None:
    assert joules_in(LOG) == pytest.approx(0.1005 * 2 + 0.2 * 1)
    assert joules_in("") == 0


def battery(root: Path, status: str, microamperes: int) -> None:
    folder = "sys/class/power_supply/battery"
    files(root, {f"{folder}/status": status, f"{folder}/voltage_now": 3_900_000, f"{folder}/current_now": microamperes})


def test_an_android_battery_counts_only_while_it_discharges(tmp_path: Path) -> None:
    meter = AndroidMeter(tmp_path)
    assert "no battery counters" in str(meter.hindrance())
    battery(tmp_path, "Charging", 500_000)
    assert "unplug the device" in str(meter.hindrance())
    battery(tmp_path, "Discharging", -1_000_000)
    assert meter.hindrance() is None
    assert meter.watts() == pytest.approx(3.9)


class _Meter(Meter):
    def __init__(self, name: str, hindrance: str | None):
        self.name, self._hindrance = name, hindrance

    def hindrance(self) -> str | None:
        return self._hindrance

    def start(self) -> None:
        pass

    def stop(self) -> float:
        return 12.0


def test_absent_meters_are_null_with_a_reason_and_nothing_is_restored_for_them() -> None:
    def never() -> tuple[int, float]:
        raise AssertionError("no meter watches")

    found = measure_energy(never, [lambda: _Meter("x", "not here")])
    assert [(energy.joules, energy.reason) for energy in found] == [(None, "not here")]


def test_a_counter_that_fails_under_way_leaves_a_reason_and_the_others(tmp_path: Path) -> None:
    battery(tmp_path, "Discharging", -1_000_000)

    def unplugged() -> tuple[int, float]:
        (tmp_path / "sys/class/power_supply/battery/current_now").unlink()
        return 4, 2.0

    lost, kept = measure_energy(unplugged, [lambda: AndroidMeter(tmp_path), lambda: _Meter("x", None)])
    assert lost.joules is None
    assert "failed under way" in str(lost.reason)
    assert kept.joules == 12.0


def test_a_present_meter_says_joules_a_photo_and_a_megapixel() -> None:
    here, absent = measure_energy(lambda: (4, 2.0), [lambda: _Meter("x", None), lambda: _Meter("y", "not here")])
    assert (here.joules, here.joules_per_photo, here.joules_per_megapixel, here.reason) == (12.0, 3.0, 6.0, None)
    assert absent.reason == "not here"


def test_every_meter_says_what_hinders_it_here() -> None:
    for make in METERS:
        hindrance = make().hindrance()
        assert hindrance is None or hindrance
