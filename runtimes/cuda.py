"""The first NVIDIA GPU, through the driver's own library: memory, copies and a stream. No CUDA package is needed."""

import ctypes
import sys
from typing import Any

import numpy as np

from mimdit.errors import MimditError

_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_MAJOR, _MINOR = 75, 76  # device attributes: compute capability


class Cuda:
    """Raises MimditError where there is no GPU, and with CUDA's own word for whatever it refuses later."""

    def __init__(self, driver: Any = None):
        """`driver`: what stands in for the driver's library in tests."""
        self._driver = _load() if driver is None else driver
        self._call("cuInit", 0)
        count, device, self._context, stream = (ctypes.c_int(), ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p())
        self._call("cuDeviceGetCount", ctypes.byref(count))
        if not count.value:
            raise MimditError("the NVIDIA driver finds no GPU here")
        self._call("cuDeviceGet", ctypes.byref(device), 0)
        # The primary context is the one that TensorRT works in.
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), device)
        self.activate()
        self._call("cuStreamCreate", ctypes.byref(stream), 0)
        self.stream: int = stream.value or 0
        version = [ctypes.c_int(), ctypes.c_int()]
        for number, attribute in zip(version, (_MAJOR, _MINOR), strict=True):
            self._call("cuDeviceGetAttribute", ctypes.byref(number), attribute, device)
        self.gpu = f"sm_{version[0].value}{version[1].value}"

    def activate(self) -> None:
        """Make the GPU the calling thread's: CUDA keeps that per thread."""
        self._call("cuCtxSetCurrent", self._context)

    def allocate(self, size: int) -> int:
        """Address of `size` bytes on the GPU."""
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        return address.value

    def free(self, addresses: list[int]) -> None:
        for address in addresses:
            self._call("cuMemFree_v2", ctypes.c_uint64(address))

    def upload(self, array: np.ndarray, address: int) -> None:
        array = np.ascontiguousarray(array)
        source = ctypes.c_void_p(array.ctypes.data)
        self._call("cuMemcpyHtoD_v2", ctypes.c_uint64(address), source, ctypes.c_size_t(array.nbytes))

    def download(self, address: int, array: np.ndarray) -> None:
        """Wait for the stream, then fill `array`."""
        self._call("cuStreamSynchronize", ctypes.c_void_p(self.stream))
        target = ctypes.c_void_p(array.ctypes.data)
        self._call("cuMemcpyDtoH_v2", target, ctypes.c_uint64(address), ctypes.c_size_t(array.nbytes))

    def _call(self, function: str, *arguments: Any) -> None:
        status = getattr(self._driver, function)(*arguments)
        if status:
            word = ctypes.c_char_p()
            self._driver.cuGetErrorName(status, ctypes.byref(word))
            reason = (word.value or b"").decode() or f"error {status}"
            raise MimditError(f"{function} failed with {reason}: check the NVIDIA driver and what else uses the GPU")


def absence() -> str | None:
    """Why there is no GPU here, or None."""
    try:
        Cuda()
    except MimditError as error:
        return str(error)
    return None


def _load() -> Any:
    try:
        return ctypes.CDLL(_LIBRARY)
    except OSError:
        raise MimditError(f"no NVIDIA GPU here: its driver's {_LIBRARY} is not installed") from None
