"""TensorRT without a GPU: engines are built here; which one runs, and where, is decided against stand-ins."""

import ctypes
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mimdit.errors import BundleError, MimditError
from mimdit.export.tensorrt import CONVERTER
from mimdit.manifest import ID_KEY
from mimdit.runtimes import cuda
from mimdit.runtimes.engines import Library, fitting_engine, kept_engine
from mimdit.runtimes.tensorrt import RUNTIME, TensorrtRuntime

TILE = 64
SHAPES = {"image": (1, 3, TILE, TILE), "photo": (1, 3, 64, 64), "restored": (1, 3, TILE, TILE)}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An .onnx file that multiplies by a matrix of fp32."""
    square = helper.make_tensor_value_info("image", TensorProto.FLOAT, [64, 64])
    result = helper.make_tensor_value_info("restored", TensorProto.FLOAT, [64, 64])
    weight = helper.make_tensor(
        "model.weight", TensorProto.FLOAT, [64, 64], np.eye(64, dtype=np.float32).tobytes(), True
    )
    nodes = [helper.make_node("MatMul", ["image", "model.weight"], ["restored"])]
    graph = helper.make_graph(nodes, "one", [square], [result], [weight])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    proto.metadata_props.add(key=ID_KEY, value="0123456789abcdef")
    onnx.save(proto, path := tmp_path / "denoise-64.onnx")
    return path


@pytest.fixture
def library() -> Library:
    pytest.importorskip("tensorrt_rtx")
    return Library("tensorrt_rtx")


def test_an_engine_is_built_for_a_named_gpu_without_having_one(library: Library, model: Path) -> None:
    engine = library.build(model, ("sm_89",), "0123456789abcdef")
    assert len(engine) > 1000
    assert b"0123456789abcdef" in engine  # its name, which says what bundle it belongs to
    together = library.build(model, ("sm_80", "sm_86", "sm_89", "sm_120", "sm_121"))
    assert len(together) < 2 * len(engine)


def test_what_a_gpu_cannot_do_is_said_in_one_line(
    library: Library, model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MimditError, match=r"cannot build denoise-64.onnx for sm_75: .*FP32 GEMM") as caught:
        library.build(model, ("sm_75",))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().out == ""


def test_a_file_that_is_no_onnx_ends_in_one_line(library: Library, tmp_path: Path) -> None:
    (path := tmp_path / "bad.onnx").write_bytes(b"no protobuf")
    with pytest.raises(MimditError, match=r"cannot build bad.onnx for sm_89") as caught:
        library.build(path, ("sm_89",))
    assert "\n" not in str(caught.value)


def test_the_platform_is_a_gpu_that_the_library_knows() -> None:
    assert (CONVERTER.platform, CONVERTER.on("sm_89").platform) == ("rtx", "sm_89")
    with pytest.raises(MimditError, match="cannot be built for sm_87: choose one of rtx, sm_75, sm_80"):
        CONVERTER.on("sm_87")


class Opener:
    """Opens the engines that it is told to; keeps what it was asked to build."""

    def __init__(self, *fitting: bytes):
        self.fitting = fitting
        self.built: list[Path] = []

    def open(self, engine: bytes) -> str | None:
        return engine.decode() if engine in self.fitting else None

    def build(self, path: Path) -> bytes:
        self.built.append(path)
        return b"built here"


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    (path := tmp_path / "denoise-64.engine").write_bytes(b"shipped")
    return path


def test_the_bundles_engine_runs_where_it_fits(shipped: Path, tmp_path: Path) -> None:
    opener = Opener(b"shipped")
    assert fitting_engine(shipped, tmp_path / "kept", opener.open, opener.build) == ("shipped", False)
    assert not opener.built


def test_another_gpu_or_version_builds_once_and_keeps_it(shipped: Path, tmp_path: Path) -> None:
    opener, kept = Opener(b"built here"), tmp_path / "cache" / "kept.engine"
    for _ in range(2):
        assert fitting_engine(shipped, kept, opener.open, opener.build) == ("built here", True)
    assert opener.built == [tmp_path / "denoise-64.onnx"]
    assert shipped.read_bytes() == b"shipped"
    kept.write_bytes(b"damaged")
    assert fitting_engine(shipped, kept, opener.open, opener.build) == ("built here", True)
    assert (len(opener.built), kept.read_bytes()) == (2, b"built here")


def test_an_engine_that_does_not_open_where_it_was_built_is_not_kept(shipped: Path, tmp_path: Path) -> None:
    opener = Opener()
    with pytest.raises(MimditError, match="does not open here"):
        fitting_engine(shipped, tmp_path / "kept", opener.open, opener.build)
    assert not (tmp_path / "kept").exists()


def test_a_kept_engine_is_named_by_all_that_it_depends_on(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = kept_engine(model.with_suffix(".engine"), "tensorrt", "10.3.0", "sm_87")
    assert kept == tmp_path / "mimdit/engines/0123456789abcdef-denoise-64-tensorrt-10.3.0-sm_87.engine"


class Driver:
    """Stands in for NVIDIA's driver: the GPU's memory is this process's, and every call can be made to fail."""

    def __init__(self, gpus: int = 1, failing: str = ""):
        self.gpus, self.failing = gpus, failing
        self.memory: dict[int, Any] = {}

    def __getattr__(self, name: str) -> Callable[..., int]:
        return lambda *arguments: 999 if name == self.failing else 0

    def cuGetErrorName(self, status: int, word: Any) -> int:  # noqa: N802
        word._obj.value = b"CUDA_ERROR_UNKNOWN"
        return 0

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self.gpus
        return 0

    def cuDeviceGetAttribute(self, number: Any, attribute: int, device: Any) -> int:  # noqa: N802
        number._obj.value = {75: 8, 76: 7}[attribute]
        return 0

    def cuMemAlloc_v2(self, address: Any, size: Any) -> int:  # noqa: N802
        buffer = ctypes.create_string_buffer(size.value)
        address._obj.value = ctypes.addressof(buffer)
        self.memory[address._obj.value] = buffer
        return 0

    def cuMemFree_v2(self, address: Any) -> int:  # noqa: N802
        del self.memory[address.value]
        return 0

    def cuMemcpyHtoD_v2(self, address: Any, source: Any, size: Any) -> int:  # noqa: N802
        ctypes.memmove(address.value, source.value, size.value)
        return 0

    def cuMemcpyDtoH_v2(self, target: Any, address: Any, size: Any) -> int:  # noqa: N802
        ctypes.memmove(target.value, address.value, size.value)
        return 0


class Engine:
    """Returns its image; `shapes` are what it says of its tensors."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]):
        self._shapes = shapes
        self._places: dict[str, int] = {}
        self.num_io_tensors = len(shapes)
        self.refuses = False

    def get_tensor_name(self, i: int) -> str:
        return list(self._shapes)[i]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._shapes[name]

    def create_execution_context(self) -> "Engine":
        return self

    def set_tensor_address(self, name: str, address: int) -> None:
        self._places[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        ctypes.memmove(self._places["restored"], self._places["image"], 4 * 3 * TILE * TILE)
        return not self.refuses


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: Path) -> Driver:
    """A machine with a GPU of sm_87 and a TensorRT that opens nothing but what it built; a bundle's files beside it."""
    driver = Driver()
    monkeypatch.setattr("mimdit.runtimes.cuda._load", lambda: driver)
    monkeypatch.setattr("mimdit.runtimes.tensorrt.installed", lambda: "tensorrt")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "denoise-64.engine").write_bytes(b"of another GPU")
    return driver


def _library(monkeypatch: pytest.MonkeyPatch, engine: Engine, opens: bytes) -> None:
    stand_in = SimpleNamespace(
        name="tensorrt",
        version="10.3.0",
        open=lambda data: engine if data == opens else None,
        build=lambda path: b"built here",
    )
    monkeypatch.setattr("mimdit.runtimes.tensorrt.Library", lambda name: stand_in)


def test_a_tile_goes_over_the_gpu_and_back(device: Driver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _library(monkeypatch, Engine(SHAPES), opens=b"of another GPU")
    runtime = RUNTIME.open(tmp_path / "denoise-64.engine", TILE, None)
    assert (runtime.name, runtime.unit) == ("tensorrt", "gpu")
    image = np.random.default_rng(0).random((1, 3, TILE, TILE), np.float32)
    assert np.array_equal(runtime.run(image, image), image)
    assert len(device.memory) == 3
    del runtime
    assert not device.memory


def test_a_rebuilt_engine_says_so(device: Driver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _library(monkeypatch, Engine(SHAPES), opens=b"built here")
    runtime = RUNTIME.open(tmp_path / "denoise-64.engine", TILE, None)
    assert runtime.name == "tensorrt (engine rebuilt for sm_87)"
    assert (tmp_path / "cache/mimdit/engines/0123456789abcdef-denoise-64-tensorrt-10.3.0-sm_87.engine").exists()


def test_an_engine_of_another_shape_is_refused(device: Driver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _library(monkeypatch, Engine({**SHAPES, "image": (1, 3, 128, 128)}), opens=b"built here")
    with pytest.raises(BundleError, match="must map image and photo"):
        TensorrtRuntime(tmp_path / "denoise-64.engine", TILE)


def test_a_run_that_is_refused_ends_in_one_line(
    device: Driver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine = Engine(SHAPES)
    engine.refuses = True
    _library(monkeypatch, engine, opens=b"built here")
    image = np.zeros((1, 3, TILE, TILE), np.float32)
    with pytest.raises(BundleError, match="refused to run"):
        TensorrtRuntime(tmp_path / "denoise-64.engine", TILE).run(image, image)


def test_no_gpu_is_a_reason_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MimditError, match="finds no GPU"):
        cuda.Cuda(Driver(gpus=0))
    with pytest.raises(MimditError, match="cuStreamCreate failed with CUDA_ERROR_UNKNOWN"):
        cuda.Cuda(Driver(failing="cuStreamCreate"))
    monkeypatch.setattr("mimdit.runtimes.cuda._LIBRARY", "libno-such-driver.so")
    assert "no NVIDIA GPU here" in (cuda.absence() or "")
    monkeypatch.setattr("mimdit.runtimes.tensorrt.installed", lambda: None)
    assert "mimdit[tensorrt]" in (RUNTIME.hindrance("fp32") or "")


@pytest.mark.skipif(cuda.absence() is not None, reason=f"needs a CUDA GPU: {cuda.absence()}")
def test_on_a_gpu_the_engine_runs(library: Library, model: Path) -> None:
    engine = library.open(library.build(model))
    assert engine is not None
    assert engine.get_tensor_name(0) == "image"
