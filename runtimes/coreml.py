"""Core ML: through coremltools on macOS, per compute unit; elsewhere the program is evaluated in numpy (`mil.py`)."""

import platform
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mimdit.errors import BundleError, MissingPackageError
from mimdit.runtimes.base import PHOTO_SHAPE, Runtime, RuntimeSpec
from mimdit.runtimes.mil import MilRuntime
from mimdit.targets import Unit

# Core ML decides itself, per operation, whether it uses the unit beside the CPU: "at most these", not "on this".
_UNITS: dict[Unit, str] = {"cpu": "CPU_ONLY", "gpu": "CPU_AND_GPU", "ane": "CPU_AND_NE"}


class CoremlRuntime(Runtime):
    """A restorer's .mlpackage on macOS. Core ML chooses its threads itself and takes no number of them."""

    def __init__(self, path: Path, tile: int, unit: Unit):
        import coremltools

        super().__init__("coreml", unit, tile)
        try:
            units = getattr(coremltools.ComputeUnit, _UNITS[unit])
            self._model = coremltools.models.MLModel(str(path), compute_units=units)
        except Exception as error:  # its errors share no base class
            reason = str(error).splitlines()[0]
            raise BundleError(f"{path.name} does not load in Core ML: {reason}; rebuild the bundle") from error
        description = self._model.get_spec().description
        found = {i.name: tuple(i.type.multiArrayType.shape) for i in description.input}
        if found != {"image": (1, 3, tile, tile), "photo": PHOTO_SHAPE} or description.output[0].name != "restored":
            raise BundleError(f"{path.name} must map image and photo to restored, but has {found}: rebuild the bundle")

    def _run(self, image: np.ndarray, photo: np.ndarray) -> np.ndarray:
        return np.asarray(self._model.predict({"image": image, "photo": photo})["restored"], np.float32)


def _open(path: Path, tile: int, threads: int | None) -> Runtime:
    return CoremlRuntime(path, tile, "ane") if _can_predict() else MilRuntime(path, tile)


def _open_on(path: Path, tile: int, threads: int | None, provider: str) -> Runtime:
    unit: Unit | None = next((unit for unit in _UNITS if unit == provider), None)
    if unit is None:
        raise BundleError(f"Core ML has no provider {provider!r:.40}: choose one of {', '.join(_UNITS)}")
    if not _can_predict():
        raise BundleError(f"Core ML's {unit} needs macOS: leave out --provider to have the program evaluated here")
    return CoremlRuntime(path, tile, unit)


def _can_predict() -> bool:
    if sys.platform != "darwin":
        return False
    if find_spec("coremltools") is None:
        raise MissingPackageError("coremltools", extra="coreml")
    return True


# The evaluator needs numpy alone, so that nothing is required to open a bundle.
RUNTIME = RuntimeSpec(
    target="coreml",
    requires=(),
    open=_open,
    open_on=_open_on,
    providers=("ane", "gpu", "cpu"),
    default="ane",
    version=lambda: platform.mac_ver()[0] or version("mimdit"),  # Core ML is part of the system
)
