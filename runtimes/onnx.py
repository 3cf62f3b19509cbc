"""ONNX Runtime on the CPU."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mimdit.errors import BundleError
from mimdit.runtimes.base import PHOTO_SHAPE, Runtime, RuntimeSpec


class OnnxRuntime(Runtime):
    """A restorer's .onnx file, external data beside it."""

    def __init__(self, path: Path, tile: int, threads: int | None = None):
        super().__init__("onnx", "cpu", tile)
        self._model = OnnxModel(path, {"image": (1, 3, tile, tile), "photo": PHOTO_SHAPE}, "restored", threads)

    def _run(self, image: np.ndarray, photo: np.ndarray) -> np.ndarray:
        return self._model(image=image, photo=photo)


class OnnxModel:
    """Any .onnx file of float32 inputs and one output, loaded on the CPU."""

    def __init__(self, path: Path, inputs: Mapping[str, tuple[int, ...]], output: str, threads: int | None = None):
        """BundleError if the file does not load, or has other inputs (name → shape) or another output.

        threads: how many cores one run may use; None takes the cores that this process may run on.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # Always explicit: left to itself ONNX Runtime counts the machine's cores, not the container's, and pins its
        # threads to cores that the container may not use.
        options.intra_op_num_threads = threads or _usable_cores()
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        # Waiting threads sleep instead of spinning. On 2 cores that other work kept busy, a net of 3×3 convolutions
        # took 90 to 160 ms so and 150 to 210 ms spinning (ONNX Runtime 1.32, x86-64); idle cores are not yet measured.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # failures arrive as exceptions; only mimdit's own words go to stderr
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors share no base class
            reason = str(error).splitlines()[0]
            raise BundleError(f"{path.name} does not load in ONNX Runtime: {reason}; rebuild the bundle") from error
        self._output = output
        found = {i.name: tuple(i.shape) for i in self._session.get_inputs()}
        outputs = [o.name for o in self._session.get_outputs()]
        if found != dict(inputs) or outputs != [output]:
            raise BundleError(
                f"{path.name} must map {dict(inputs)} to {output}, but maps {found} to {', '.join(outputs)}: "
                "rebuild the bundle"
            )

    def __call__(self, **inputs: np.ndarray) -> np.ndarray:
        return np.asarray(self._session.run([self._output], inputs)[0])


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


RUNTIME = RuntimeSpec(target="onnx", requires=("onnxruntime",), open=OnnxRuntime)
