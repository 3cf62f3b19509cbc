"""NVIDIA's own energy counter of its GPUs (Volta and later), through the driver's library."""

import ctypes
from typing import Any

from mimdit.benchmarks.meters.meter import Meter

__all__ = ["NvmlMeter"]


class NvmlMeter(Meter):
    """mJ since the driver was loaded, summed over all GPUs."""

    name = "nvml"

    def __init__(self, library: Any = None):
        """library: what stands in for libnvidia-ml in tests."""
        self._library = library
        self._began = 0

    def hindrance(self) -> str | None:
        try:
            self._library = self._library or ctypes.CDLL("libnvidia-ml.so.1")
        except OSError:
            return "this system has no NVIDIA driver"
        try:
            self._total()
        except OSError as error:
            return str(error)
        return None

    def start(self) -> None:
        self._began = self._total()

    def stop(self) -> float:
        return (self._total() - self._began) / 1000

    def _total(self) -> int:
        self._call("nvmlInit_v2")
        count = ctypes.c_uint()
        self._call("nvmlDeviceGetCount_v2", ctypes.byref(count))
        if not count.value:
            raise OSError("the NVIDIA driver has no GPU")
        total = 0
        for index in range(count.value):
            device, energy = ctypes.c_void_p(), ctypes.c_ulonglong()
            self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(device))
            self._call("nvmlDeviceGetTotalEnergyConsumption", device, ctypes.byref(energy))
            total += energy.value
        return total

    def _call(self, function: str, *arguments: object) -> None:
        if code := getattr(self._library, function)(*arguments):
            raise OSError(f"{function} of the NVIDIA driver answered {code}")
