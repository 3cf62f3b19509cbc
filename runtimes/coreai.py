"""Core AI on the CPU, through `coreai-core`: runs on Linux too, so that an Apple target's numbers are checked there.

Off macOS it is a correctness reference and never a timing. Beta, as the package is.
"""

import asyncio
import hashlib
import time
import weakref
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from mimdit.errors import BundleError
from mimdit.runtimes.base import Runtime, RuntimeSpec
from mimdit.runtimes.words import kept_words

_FUNCTION = "main"
# A thread of Core AI's lets go of Python objects after a result is there. If Python is ending by then, it ends the
# thread, which the Swift runtime answers by aborting the process: 2 of 8 on a busy machine, none of 16 with this pause.
_LET_GO_S = 0.2


class CoreaiRuntime(Runtime):
    """A restorer's .aimodel. Core AI chooses its threads itself and takes no number of them."""

    def __init__(self, path: Path, tile: int, threads: int | None = None):
        """BundleError if the folder does not load or maps other names than the contract's."""
        super().__init__("coreai", "cpu", tile)
        # Everything in the package is asynchronous, and the program compiled for this machine is deleted when its
        # context ends: loop and context live as long as the runtime.
        self._loop, self._context = asyncio.new_event_loop(), AsyncExitStack()
        weakref.finalize(self, _close, self._loop, self._context)
        try:
            _check_program(path)
            with kept_words():
                self._function = self._loop.run_until_complete(self._load(path))
        except (RuntimeError, KeyError, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise BundleError(f"{path.name} does not load in Core AI: {reason}; rebuild the bundle") from error
        inputs, outputs = list(self._function.desc.input_names), list(self._function.desc.output_names)
        if (sorted(inputs), outputs) != (["image", "photo"], ["restored"]):
            raise BundleError(f"{path.name} must map image and photo to restored, but maps {inputs} to {outputs}")

    async def _load(self, path: Path) -> Any:
        from coreai.authoring import AIModelAsset

        model = await self._context.enter_async_context(AIModelAsset.load(path).executable())
        return model.load_function(_FUNCTION)

    def _run(self, image: np.ndarray, photo: np.ndarray) -> np.ndarray:
        from coreai.runtime import NDArray

        outputs = self._loop.run_until_complete(self._function({"image": NDArray(image), "photo": NDArray(photo)}))
        return outputs["restored"].numpy().copy()  # the array is Core AI's memory


def _check_program(path: Path) -> None:
    """Against the hash that lies beside it: a damaged program does not fail to load, it ends the process."""
    if hashlib.sha256((path / "main.mlirb").read_bytes()).digest() != (path / "main.hash").read_bytes():
        raise RuntimeError("its program is not the one that its hash was taken of")


def _close(loop: asyncio.AbstractEventLoop, context: AsyncExitStack) -> None:
    loop.run_until_complete(context.aclose())
    loop.close()
    time.sleep(_LET_GO_S)


RUNTIME = RuntimeSpec(
    target="coreai",
    requires=("coreai",),
    open=CoreaiRuntime,
    alone="coreai-core",
    version=partial(version, "coreai-core"),
)
