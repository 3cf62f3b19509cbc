"""ExecuTorch on the CPU, through XNNPACK. Its Python bindings import torch: the one runtime that does.

On a phone ExecuTorch's own C++, Kotlin or Swift runtime opens the same file, without Python or torch.
"""

import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path
from threading import Lock

import numpy as np

from mimdit.errors import BundleError
from mimdit.runtimes.base import PHOTO_SHAPE, Runtime, RuntimeSpec
from mimdit.runtimes.cores import usable_cores
from mimdit.runtimes.words import kept_words
from mimdit.silence import unwarned


class _Pool:
    """The threads of the process: one pool for all files. A loaded file keeps the pool that it was loaded with."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.number = 0  # of pools that there have been: a file of an earlier one would compute with freed memory


_POOL = _Pool()


class ExecutorchRuntime(Runtime):
    """A restorer's .pte file."""

    def __init__(self, path: Path, tile: int, threads: int | None = None):
        """BundleError if the file does not load or takes other tensors than the contract's."""
        with unwarned():  # importing it warns of every API that may change, and of what torchao could not load
            import torch
            from executorch.extension.pybindings import portable_lib
            from executorch.runtime import Runtime as Loader

        super().__init__("executorch", "cpu", tile)
        self._threads = threads or usable_cores()
        self._tensor, self._library, self._loader = torch.from_numpy, portable_lib, Loader
        self._path = path
        with _POOL.lock:
            self._load()
        meta = self._method.metadata
        found = [tuple(meta.input_tensor_meta(i).sizes()) for i in range(meta.num_inputs())]
        if found != [(1, 3, tile, tile), PHOTO_SHAPE]:
            raise BundleError(f"{path.name} must take image and photo, but takes {found}: rebuild the bundle")

    def _run(self, image: np.ndarray, photo: np.ndarray) -> np.ndarray:
        with _POOL.lock:
            # Where another runtime asked for another number of threads the pool is a new one.
            if self._pool != _POOL.number or self._library._threadpool_get_thread_count() != self._threads:
                self._load()
            (restored,) = self._method.execute((self._tensor(image), self._tensor(photo)))
        return restored.numpy()

    def _load(self) -> None:
        with kept_words() as words:
            try:
                # Left alone the pool has as many threads as the machine cores, not as the process may use.
                if self._library._threadpool_get_thread_count() != self._threads:
                    self._library._unsafe_reset_threadpool(self._threads)
                    _POOL.number += 1
                method = self._loader.get().load_program(self._path).load_method("forward")
                assert method is not None
            except Exception as error:  # its errors share no base class
                reason = ": ".join([str(error), *words()[-1:]])
                name = self._path.name
                raise BundleError(f"{name} does not load in ExecuTorch: {reason}; rebuild the bundle") from error
        self._method, self._pool = method, _POOL.number


def _platform_hindrance(platform: str) -> str | None:
    """That a delegate is registered says little: Linux's wheel has QNN's, without a chip for it."""
    here = {"coreml": sys.platform == "darwin", "qnn": hasattr(sys, "getandroidapilevel")}
    if here.get(platform, True):
        return None
    return f"ExecuTorch's delegate for {platform} computes on the devices that it was made for"


RUNTIME = RuntimeSpec(
    target="executorch",
    requires=("executorch",),
    open=ExecutorchRuntime,
    platform_hindrance=_platform_hindrance,
    version=partial(version, "executorch"),
)
