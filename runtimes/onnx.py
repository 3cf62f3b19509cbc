"""ONNX Runtime, on the CPU or on the provider that is asked for."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from mimdit.errors import BundleError, MimditError
from mimdit.runtimes.base import PHOTO_SHAPE, Runtime, RuntimeSpec
from mimdit.runtimes.cores import usable_cores
from mimdit.targets import Unit

_CPU = "CPUExecutionProvider"


class _Provider(NamedTuple):
    """An execution provider: what ONNX Runtime calls it, where it computes, and what it is told."""

    name: str
    unit: Unit
    options: Mapping[str, str] = MappingProxyType({})


# Words of --provider. Operations that a provider lacks run on the CPU.
PROVIDERS = {
    "cpu": _Provider(_CPU, "cpu"),
    "cuda": _Provider("CUDAExecutionProvider", "gpu"),
    "coreml": _Provider(
        "CoreMLExecutionProvider", "ane", {"ModelFormat": "MLProgram", "MLComputeUnits": "CPUAndNeuralEngine"}
    ),
    "qnn": _Provider("QNNExecutionProvider", "npu", {"backend_type": "htp"}),
    "directml": _Provider("DmlExecutionProvider", "gpu"),
}


class OnnxRuntime(Runtime):
    """A restorer's .onnx file, external data beside it."""

    def __init__(self, path: Path, tile: int, threads: int | None = None, provider: str = "cpu"):
        """MimditError if ONNX Runtime does not offer the provider here, BundleError as `OnnxModel`."""
        chosen = available_provider(provider)
        super().__init__("onnx", chosen.unit, tile)
        inputs = {"image": (1, 3, tile, tile), "photo": PHOTO_SHAPE}
        self._model = OnnxModel(path, inputs, "restored", threads, chosen)

    def _run(self, image: np.ndarray, photo: np.ndarray) -> np.ndarray:
        return self._model(image=image, photo=photo)


def available_provider(name: str) -> _Provider:
    """The provider of a name; raises MimditError naming those that this machine's ONNX Runtime has."""
    import onnxruntime

    built = onnxruntime.get_available_providers()
    if name in PROVIDERS and PROVIDERS[name].name in built:
        return PROVIDERS[name]
    available = ", ".join(known for known, provider in PROVIDERS.items() if provider.name in built)
    raise MimditError(f"ONNX Runtime has no provider {name!r} here: choose one of {available}")


class OnnxModel:
    """Any .onnx file of float32 inputs and one output, loaded on one provider."""

    def __init__(
        self,
        path: Path,
        inputs: Mapping[str, tuple[int, ...]],
        output: str,
        threads: int | None = None,
        provider: _Provider = PROVIDERS["cpu"],
    ):
        """BundleError if the file does not load on the provider, or has other inputs (name → shape) or another output.

        threads: how many cores one run may use; None takes the cores that this process may run on.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # Always explicit: left to itself ONNX Runtime counts the machine's cores, not the container's, and pins its
        # threads to cores that the container may not use.
        options.intra_op_num_threads = threads or usable_cores()
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        # Waiting threads sleep instead of spinning. A tile of `denoise` takes 29 ms so and 26 ms spinning on 2 idle
        # cores, but 51 and 92 ms beside two busy processes (ONNX Runtime 1.32, x86-64): an app is seldom alone.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # failures arrive as exceptions; only mimdit's own words go to stderr
        # Planning all memory ahead took 366 MB for a tile of 512 px and as much time as without, which takes 219 MB
        # (ONNX Runtime 1.32, x86-64, one thread). DirectML refuses it anyway.
        options.enable_mem_pattern = False
        providers = [(provider.name, dict(provider.options))] + ([(_CPU, {})] if provider.name != _CPU else [])
        try:
            # Its fallback, the same providers once more, prints to stdout, which belongs to the data.
            self._session = onnxruntime.InferenceSession(path, options, providers=providers, enable_fallback=0)
        except Exception as error:  # its errors share no base class
            reason = str(error).splitlines()[0]
            raise BundleError(f"{path.name} does not load in ONNX Runtime: {reason}; rebuild the bundle") from error
        if provider.name not in self._session.get_providers():  # it falls back without a word
            raise BundleError(
                f"{path.name} does not load on {provider.name}: check its driver, or leave out --provider"
            )
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


def _version() -> str:
    """Of the package that is imported: it is installed under several names (onnxruntime-gpu, onnxruntime-qnn …)."""
    import onnxruntime

    return onnxruntime.__version__


RUNTIME = RuntimeSpec(
    target="onnx",
    requires=("onnxruntime",),
    open=OnnxRuntime,
    open_on=OnnxRuntime,
    providers=("cuda", "coreml", "qnn", "directml", "cpu"),
    default="cpu",
    version=_version,
)
