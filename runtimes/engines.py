"""TensorRT engines: built from ONNX ahead of time for named GPUs, or here for the GPU and version that are here.

Two libraries have one interface: `tensorrt_rtx` (GeForce RTX and its kin; builds without a GPU) and the classic
`tensorrt` (data centres, Jetson; builds on the GPU that it will run on). Networks are strongly typed in both: an fp16
engine comes from an fp16 ONNX file.
"""

import importlib
import os
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from mimdit import onnx_file
from mimdit.errors import MimditError
from mimdit.files import write_file
from mimdit.manifest import ID_KEY

LIBRARIES = ("tensorrt_rtx", "tensorrt")  # in the order of preference

# Compute capabilities that tensorrt_rtx builds for. Jetson Orin (sm_87) and data-centre Hopper (sm_90) are not among
# them: there the classic library builds its own engine from the ONNX file.
GPUS = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_120", "sm_121")

Engine = TypeVar("Engine")


class Library:
    """One of the two, imported when it is needed."""

    def __init__(self, name: str):
        self._trt: Any = importlib.import_module(name)
        self.name = name
        self.version: str = self._trt.__version__
        self._log = _log(self._trt)

    def build(self, onnx: Path, gpus: Sequence[str] = (), name: str = "") -> bytes:
        """An engine called `name`, for the GPUs named (`tensorrt_rtx` only) or the one here. Raises MimditError."""
        trt = self._trt
        self._log.errors.clear()
        builder = trt.Builder(self._log)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, self._log)
        config = builder.create_builder_config()
        config.clear_flag(trt.BuilderFlag.TF32)  # set by default: fp32 would be computed with 10 bits of mantissa
        network.name = name or onnx.stem  # what an engine keeps of where it comes from
        if gpus:
            config.num_compute_capabilities = len(gpus)
            for i, gpu in enumerate(gpus):
                config.set_compute_capability(getattr(trt.ComputeCapability, gpu.replace("sm_", "SM")), i)
        with _standard_output_to_error():
            parsed = parser.parse_from_file(str(onnx))
            engine = builder.build_serialized_network(network, config) if parsed else None
        if engine is None:
            wanted = ", ".join(gpus) or "the GPU here"
            reason = " ".join((self._log.errors or ["no reason given"])[0].split())
            raise MimditError(f"{self.name} {self.version} cannot build {onnx.name} for {wanted}: {reason}")
        return bytes(engine)

    def open(self, engine: bytes) -> Any | None:
        """An engine ready to run; None if it is of another version or for another GPU."""
        return self._trt.Runtime(self._log).deserialize_cuda_engine(engine)


def installed() -> str | None:
    """The library to use here."""
    return next((name for name in LIBRARIES if find_spec(name)), None)


def fitting_engine(
    path: Path, kept: Path, open_engine: Callable[[bytes], Engine | None], build: Callable[[Path], bytes]
) -> tuple[Engine, bool]:
    """The engine in the bundle if it runs here; otherwise one built from the ONNX file beside it, and True.

    What is built is kept in the file `kept`, whose name holds everything that it depends on. Raises MimditError.
    """
    if (engine := open_engine(path.read_bytes())) is not None:
        return engine, False
    if kept.exists() and (engine := open_engine(kept.read_bytes())) is not None:
        return engine, True
    built = build(path.with_suffix(".onnx"))
    if (engine := open_engine(built)) is None:
        raise MimditError(f"an engine built here from {path.stem}.onnx does not open here: check the TensorRT install")
    write_file(kept, built, overwrite=True)
    return engine, True


def kept_engine(path: Path, library: str, version: str, gpu: str) -> Path:
    """Where the engine built here for a bundle's `path` is kept: under the user's cache, never in the bundle."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    bundle = onnx_file.parse(path.with_suffix(".onnx").read_bytes()).metadata[ID_KEY]
    return cache / "mimdit" / "engines" / f"{bundle}-{path.stem}-{library}-{version}-{gpu}.engine"


def _log(trt: Any) -> Any:
    """A logger that keeps errors, which otherwise go to the terminal, for the message of one line."""

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(message)

    return Log()


@contextmanager
def _standard_output_to_error():
    """The builder's compiler prints warnings past its logger, to standard output, which is for data."""
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
