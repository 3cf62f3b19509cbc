"""OpenVINO on the CPU."""

from functools import partial
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from mimdit.errors import BundleError
from mimdit.runtimes.base import PHOTO_SHAPE, Runtime, RuntimeSpec
from mimdit.runtimes.cores import usable_cores
from mimdit.targets import Precision

# What the converter wrote into the file's runtime info, the bundle's id beside it: the precision to compute in.
PRECISION_KEY = "mimdit.precision"
# The number format that OpenVINO computes in. Always stated: left to itself it takes bf16 wherever the CPU has it.
# fp16 is how the weights are stored; CPUs without fp16 arithmetic of their own compute in fp32.
# w8 and w8a8 say themselves which operations take 8-bit numbers. At w8a8 the others compute in bf16 where the CPU has
# it and in fp32 elsewhere: they are half of the time, and bf16 rounds less than a third of what 8 bits do.
_COMPUTES_IN = {"fp32": "f32", "fp16": "f32", "bf16": "bf16", "w8": "f32", "w8a8": "bf16"}


class OpenVinoRuntime(Runtime):
    """A restorer's .xml file, its .bin beside it."""

    def __init__(self, path: Path, tile: int, threads: int | None = None):
        """BundleError if the file does not load or maps other tensors than the contract's."""
        import openvino

        super().__init__("openvino", "cpu", tile)
        core = openvino.Core()
        try:
            model = core.read_model(path)
            computes_in = _COMPUTES_IN[_info(model, PRECISION_KEY)]
            settings = {
                "INFERENCE_PRECISION_HINT": computes_in if computes_in == "f32" or _has_bf16(core) else "f32",
                "INFERENCE_NUM_THREADS": threads or usable_cores(),
                "PERFORMANCE_HINT": "LATENCY",
            }
            compiled = core.compile_model(model, "CPU", settings)
        except (RuntimeError, KeyError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise BundleError(f"{path.name} does not load in OpenVINO: {reason}; rebuild the bundle") from error
        found = {port.get_any_name(): tuple(port.shape) for port in (*compiled.inputs, *compiled.outputs)}
        wanted = {"image": (1, 3, tile, tile), "photo": PHOTO_SHAPE, "restored": (1, 3, tile, tile)}
        if found != wanted:
            raise BundleError(f"{path.name} must map {wanted}, but maps {found}: rebuild the bundle")
        self._request = compiled.create_infer_request()
        self._turn = Lock()  # one request at a time; photos of a folder are restored side by side

    def _run(self, image: np.ndarray, photo: np.ndarray) -> np.ndarray:
        # Copied: the request's own memory is written again by the next tile.
        with self._turn:
            return self._request.infer({"image": image, "photo": photo}, share_inputs=True)["restored"].copy()


def _info(model: Any, key: str) -> str:
    """A value of the file's runtime info; KeyError where it has none."""
    path = key.split(".")
    if not model.has_rt_info(path):
        raise KeyError(f"it says no {key}")
    return model.get_rt_info(path).astype(str)


def _has_bf16(core: Any) -> bool:
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _hindrance(precision: Precision) -> str | None:
    if precision != "bf16":
        return None
    import openvino

    if _has_bf16(openvino.Core()):
        return None
    return "this CPU has no bf16 arithmetic (AVX512-BF16, AVX2-VNNI-2 or AMX): build for fp32"


RUNTIME = RuntimeSpec(
    target="openvino",
    requires=("openvino",),
    open=OpenVinoRuntime,
    hindrance=_hindrance,
    alone="openvino",
    version=partial(version, "openvino"),
)
