"""What every runtime is: one tile in, one tile out, and the contract that both are held to."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import final

import numpy as np

from mimdit.errors import BundleError
from mimdit.targets import Precision, Target, Unit

PHOTO_SHAPE = (1, 3, 64, 64)


class Runtime(ABC):
    """Executes one model file on one unit.

    The tensor contract, the same for every target, float32, sRGB-encoded, RGB, 0..1, finite:

        image     f32[1,3,T,T]    the tile
        photo     f32[1,3,64,64]  the whole photo that the tile was cut from, reduced (`views.photo_view`)
        restored  f32[1,3,T,T]    the restored tile

    A subclass opens its file in `__init__` and implements `_run`; `run` checks both sides of it.
    """

    def __init__(self, name: str, unit: Unit, tile: int):
        self.name = name  # the target, or what stands in for one
        self.unit: Unit = unit
        self.tile = tile  # T

    @final
    def run(self, image: np.ndarray, photo: np.ndarray) -> np.ndarray:
        """Restores one tile. Raises ValueError for an input and BundleError for an output that breaks the contract."""
        shape = (1, 3, self.tile, self.tile)
        for label, array, wanted in (("image", image, shape), ("photo", photo, PHOTO_SHAPE)):
            if fault := _fault(array, wanted):
                raise ValueError(f"input {label} of runtime {self.name}: {fault}")
        restored = self._run(image, photo)
        if fault := _fault(restored, shape):
            raise BundleError(f"the model's output on {self.name} ({self.unit}) {fault}: the bundle needs a rebuild")
        return restored

    @abstractmethod
    def _run(self, image: np.ndarray, photo: np.ndarray) -> np.ndarray:
        """image, photo → restored, shapes and ranges as in the class's contract."""


def _fault(array: np.ndarray, shape: tuple[int, ...]) -> str | None:
    """What is wrong with a tensor of the contract, or None."""
    if array.shape != shape or array.dtype != np.float32:
        return f"must be float32{list(shape)}, is {array.dtype}{list(array.shape)}"
    low, high = array.min(), array.max()
    # written so that NaN, which compares as false, is a fault too
    return None if low >= 0 and high <= 1 else f"must lie in 0..1, lies in {low:.4g}..{high:.4g}"


def _nothing_hinders(precision: Precision) -> str | None:
    return None


def _any_platform(platform: str) -> str | None:
    return None


def _own_version() -> str:
    return version("mimdit")


@dataclass(frozen=True)
class RuntimeSpec:
    """One line of the registry. Listing it imports nothing: `requires` is looked for, never imported, to list."""

    target: Target
    requires: tuple[str, ...]
    open: Callable[[Path, int, int | None], Runtime]  # (model file, tile, threads)
    # With the packages there: why files of a precision cannot run on this machine all the same (no such device, no such
    # instructions), or None. What cannot run here can still be built; its manifest says that parity was not measured.
    hindrance: Callable[[Precision], str | None] = _nothing_hinders
    # The same for files that were made for one platform, as the manifest names it.
    platform_hindrance: Callable[[str], str | None] = _any_platform
    # What pip installs to run files and no more, where the target's extra brings all that building them takes.
    alone: str | None = None
    # The same as `open` on a named provider of the runtime; None where there is nothing to choose.
    open_on: Callable[[Path, int, int | None, str], Runtime] | None = None
    # Its providers, the next one first to try where one is barred, and which of them `open` takes.
    providers: tuple[str, ...] = ()
    default: str | None = None
    version: Callable[[], str] = _own_version  # of what computes; verdicts on units hold for one
