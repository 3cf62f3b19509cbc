"""LiteRT on the CPU, through XNNPACK."""

from functools import partial
from importlib.metadata import version
from pathlib import Path
from threading import Lock

import numpy as np

from mimdit.errors import BundleError
from mimdit.runtimes.base import PHOTO_SHAPE, Runtime, RuntimeSpec
from mimdit.runtimes.cores import usable_cores


class LiteRtRuntime(Runtime):
    """A restorer's .tflite file."""

    def __init__(self, path: Path, tile: int, threads: int | None = None):
        """BundleError if the file does not load or maps other tensors than the contract's."""
        from ai_edge_litert.interpreter import Interpreter

        super().__init__("litert", "cpu", tile)
        try:
            self._interpreter = Interpreter(str(path), num_threads=threads or usable_cores())
            self._interpreter.allocate_tensors()
            self._runner = self._interpreter.get_signature_runner()
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise BundleError(f"{path.name} does not load in LiteRT: {reason}; rebuild the bundle") from error
        found = {name: tuple(port["shape"].tolist()) for name, port in self._runner.get_input_details().items()}
        wanted = {"image": (1, 3, tile, tile), "photo": PHOTO_SHAPE}
        outputs = list(self._runner.get_output_details())
        if found != wanted or len(outputs) != 1:
            raise BundleError(
                f"{path.name} must map {wanted} to one tensor, but maps {found} to {', '.join(outputs)}: "
                "rebuild the bundle"
            )
        self._output = outputs[0]  # the converter numbers it
        self._turn = Lock()  # one request at a time; photos of a folder are restored side by side

    def _run(self, image: np.ndarray, photo: np.ndarray) -> np.ndarray:
        with self._turn:
            return self._runner(image=image, photo=photo)[self._output]


RUNTIME = RuntimeSpec(
    target="litert",
    requires=("ai_edge_litert",),
    open=LiteRtRuntime,
    alone="ai-edge-litert",
    version=partial(version, "ai-edge-litert"),
)
