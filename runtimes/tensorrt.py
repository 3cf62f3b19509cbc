"""TensorRT on the GPU: the engine of the bundle, or one built here where the GPU or the version is another."""

import weakref
from pathlib import Path
from typing import Any

import numpy as np

from mimdit.errors import BundleError, MissingPackageError
from mimdit.runtimes import cuda
from mimdit.runtimes.base import PHOTO_SHAPE, Runtime, RuntimeSpec
from mimdit.runtimes.engines import Library, fitting_engine, installed, kept_engine
from mimdit.targets import Precision


class TensorrtRuntime(Runtime):
    """A restorer's .engine file, its .onnx beside it. The host's threads have no part in it."""

    def __init__(self, path: Path, tile: int, threads: int | None = None):
        name = installed()
        if name is None:
            raise MissingPackageError("tensorrt_rtx", extra="tensorrt")
        library = Library(name)
        device = cuda.Cuda()
        kept = kept_engine(path, library.name, library.version, device.gpu)
        engine, rebuilt = fitting_engine(path, kept, library.open, library.build)
        super().__init__(f"tensorrt (engine rebuilt for {device.gpu})" if rebuilt else "tensorrt", "gpu", tile)
        self._attach(device, engine, path.name)

    def _attach(self, device: cuda.Cuda, engine: Any, file: str) -> None:
        """Check the engine's tensors and give each its memory on the GPU."""
        shape = (1, 3, self.tile, self.tile)
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        found = {name: tuple(engine.get_tensor_shape(name)) for name in names}
        if found != {"image": shape, "photo": PHOTO_SHAPE, "restored": shape}:
            raise BundleError(f"{file} must map image and photo to restored, but has {found}: rebuild the bundle")
        self._device, self._context = device, engine.create_execution_context()
        self._places = {name: device.allocate(4 * int(np.prod(found[name]))) for name in names}
        weakref.finalize(self, device.free, list(self._places.values()))
        for name, address in self._places.items():
            self._context.set_tensor_address(name, address)

    def _run(self, image: np.ndarray, photo: np.ndarray) -> np.ndarray:
        self._device.activate()
        self._device.upload(image, self._places["image"])
        self._device.upload(photo, self._places["photo"])
        if not self._context.execute_async_v3(self._device.stream):
            raise BundleError(f"{self.name} refused to run the engine: rebuild the bundle")
        restored = np.empty(image.shape, np.float32)
        self._device.download(self._places["restored"], restored)
        return restored


def _hindrance(precision: Precision) -> str | None:
    if installed() is None:
        return "neither tensorrt_rtx nor tensorrt is installed: run  pip install 'mimdit[tensorrt]'"
    return cuda.absence()


# Either library will do, so neither is required by name.
RUNTIME = RuntimeSpec(
    target="tensorrt",
    requires=(),
    open=TensorrtRuntime,
    hindrance=_hindrance,
    version=lambda: Library(installed() or "tensorrt").version,
)
