"""Core ML's programs without a Mac: rounding as declared, files that are refused."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mimdit import mil_file
from mimdit.errors import BundleError, MimditError, MissingPackageError
from mimdit.export.coreml import CONVERTER
from mimdit.runtimes import coreml
from mimdit.runtimes.mil import MilModel, MilRuntime
from mimdit.runtimes.mil_ops import OPERATIONS


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """(1000 · image)² in fp16: 1000 is a weight, and the square of more than 255 passes the largest number."""
    ct = pytest.importorskip("coremltools")
    mb = ct.converters.mil.Builder

    @mb.program(
        input_specs=[mb.TensorSpec((1, 3, 4, 4), ct.converters.mil.mil.types.fp16)], opset_version=ct.target.iOS16
    )
    def program(image: Any) -> Any:
        large = mb.mul(x=image, y=np.full((1, 3, 4, 4), 1000, np.float16))
        return mb.pow(x=large, y=np.float16(2), name="restored")

    model = ct.convert(program, convert_to="mlprogram", minimum_deployment_target=ct.target.iOS16, skip_model_load=True)
    path = tmp_path_factory.mktemp("mil") / "square.mlpackage"
    model.save(str(path))
    return path


def _model(package: Path) -> MilModel:
    return MilModel(package, {"image": (1, 3, 4, 4)}, "restored")


def test_values_are_rounded_to_fp16_between_operations(package: Path) -> None:
    image = np.full((1, 3, 4, 4), 0.2469, np.float32)
    large = np.float16(np.float32(np.float16(0.2469)) * 1000)
    square = np.float16(np.float32(large) ** 2)
    found = _model(package)(image=image)
    assert (found == np.float32(square)).all()
    assert abs(found - (1000 * image) ** 2).max() > 16  # further from fp32's result than one rounding can be


def test_an_overflow_of_fp16_is_infinite(package: Path) -> None:
    assert np.isinf(_model(package)(image=np.full((1, 3, 4, 4), 0.5, np.float32))).all()


def test_other_inputs_are_refused(package: Path) -> None:
    with pytest.raises(BundleError, match="must map"):
        MilRuntime(package, 64)


def test_an_operation_that_is_not_known_is_named(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimdit.runtimes.mil.OPERATIONS", {**OPERATIONS, "pow": lambda x: x})
    with pytest.raises(BundleError, match=r"pow \(restored\) has arguments that .* not know: .*'y'"):
        _model(package)
    monkeypatch.setattr("mimdit.runtimes.mil.OPERATIONS", {"mul": OPERATIONS["mul"]})
    with pytest.raises(BundleError, match=r"operation pow \(restored\), which .* does not know"):
        _model(package)


FAULTS: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "cut off": (mil_file.MODEL, lambda data: data[:-9], "inside its whole"),
    "no model": (mil_file.MODEL, lambda data: b"no protobuf", "expected"),
    "empty": (mil_file.MODEL, lambda data: b"", "mlprogram"),
    "another weight file": (mil_file.MODEL, lambda data: data.replace(b"/weight.bin", b"/weighty.in"), "inside Data"),
    "weights cut off": ("Data/com.apple.CoreML/weights/weight.bin", lambda data: data[:-1], "bytes of weights"),
    "no weights": ("Data/com.apple.CoreML/weights/weight.bin", lambda data: b"", "inside Data"),
    "not a number": (
        "Data/com.apple.CoreML/weights/weight.bin",
        lambda data: data.replace(np.float16(1000).tobytes(), np.float16(np.nan).tobytes()),
        "finite weights",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_damaged_package_ends_in_one_line(package: Path, tmp_path: Path, name: str) -> None:
    file, damage, words = FAULTS[name]
    shutil.copytree(package, damaged := tmp_path / "damaged.mlpackage")
    (damaged / file).write_bytes(damage((damaged / file).read_bytes()))
    with pytest.raises(BundleError, match=words) as caught:
        mil_file.read(damaged)
    assert "\n" not in str(caught.value)


def test_a_platform_is_one_that_there_is() -> None:
    assert (CONVERTER.platform, CONVERTER.on("ios18").platform) == ("ios16", "ios18")
    with pytest.raises(MimditError, match="cannot be built for ios15: choose one of ios16, ios18"):
        CONVERTER.on("ios15")


def test_a_compute_unit_needs_macos() -> None:
    open_on = coreml.RUNTIME.open_on
    assert open_on is not None
    with pytest.raises(BundleError, match="choose one of cpu, gpu, ane"):
        open_on(Path("x.mlpackage"), 64, None, "tpu")
    with pytest.raises(BundleError, match="gpu needs macOS"):
        open_on(Path("x.mlpackage"), 64, None, "gpu")


def test_on_macos_coremltools_predicts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a stand-in for coremltools: what it is asked for, and what comes back."""
    seen: dict[str, Any] = {}
    tile = SimpleNamespace(name="image", type=SimpleNamespace(multiArrayType=SimpleNamespace(shape=[1, 3, 64, 64])))
    photo = SimpleNamespace(name="photo", type=tile.type)
    description = SimpleNamespace(input=[tile, photo], output=[SimpleNamespace(name="restored")])

    class Model:
        def __init__(self, path: str, compute_units: str):
            seen.update(path=path, units=compute_units)

        def get_spec(self) -> SimpleNamespace:
            return SimpleNamespace(description=description)

        def predict(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {"restored": inputs["image"].astype(np.float64)}

    units = SimpleNamespace(CPU_ONLY="cpu only", CPU_AND_GPU="gpu too", CPU_AND_NE="engine too")
    stand_in = SimpleNamespace(ComputeUnit=units, models=SimpleNamespace(MLModel=Model))
    monkeypatch.setitem(sys.modules, "coremltools", stand_in)
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("mimdit.runtimes.coreml.find_spec", lambda name: object())
    image = np.full((1, 3, 64, 64), 0.25, np.float32)
    for provider, asked in (("cpu", "cpu only"), ("gpu", "gpu too"), ("ane", "engine too")):
        runtime = coreml._open_on(Path("x.mlpackage"), 64, None, provider)
        assert (runtime.unit, seen["units"]) == (provider, asked)
        assert np.array_equal(runtime.run(image, image), image)
    assert coreml.RUNTIME.open(Path("x.mlpackage"), 64, None).unit == "ane"
    monkeypatch.setattr("mimdit.runtimes.coreml.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"mimdit\[coreml\]"):
        coreml.RUNTIME.open(Path("x.mlpackage"), 64, None)
