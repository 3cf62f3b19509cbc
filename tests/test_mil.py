"""Core ML's programs without a Mac: operations against PyTorch, rounding as declared, files that are refused."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mimdit import mil_file
from mimdit.errors import BundleError, MimditError, MissingPackageError
from mimdit.export.coreml import CONVERTER
from mimdit.runtimes import coreml
from mimdit.runtimes.mil import MilModel, MilRuntime
from mimdit.runtimes.mil_ops import OPERATIONS

X = np.random.default_rng(0).standard_normal((2, 4, 6, 8), np.float32)
Y = np.random.default_rng(1).standard_normal((2, 4, 6, 8), np.float32)
POSITIVE = np.abs(X) + np.float32(0.1)


def _conv(**changed: Any) -> dict[str, Any]:
    shared = {"strides": np.array([1, 1]), "pad_type": "custom", "pad": np.array([1, 1, 1, 1])}
    return {
        "x": X,
        "weight": Y[:, :, :3, :3],
        **shared,
        "dilations": np.array([1, 1]),
        "groups": np.int32(1),
        **changed,
    }


def _scales(height: float, width: float) -> dict[str, Any]:
    return {"scale_factor_height": np.float32(height), "scale_factor_width": np.float32(width)}


def t(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array)


AXES = {"axes": np.array([1, 3]), "keep_dims": np.bool_(True)}
CHANNELS = np.arange(8, dtype=np.float32)
SCALES, ZEROS = np.array([0.01, 0.02, 0.03, 0.04], np.float32), np.array([-3, 0, 7, 100], np.int8)
LEVELS = torch.quantize_per_channel(t(X), t(SCALES), t(ZEROS), 1, torch.qint8)  # some beyond what 8 bits hold
SMALL = LEVELS.int_repr().numpy()
TRUTHS: list[tuple[str, dict[str, Any], Callable[[], torch.Tensor]]] = [
    ("add", {"x": X, "y": Y[0]}, lambda: t(X) + t(Y[0])),
    ("cast", {"x": X, "dtype": "fp32"}, lambda: t(X)),
    ("clip", {"x": X, "alpha": np.float32(-0.5), "beta": np.float32(0.5)}, lambda: t(X).clamp(-0.5, 0.5)),
    (
        "concat",
        {"values": [X, Y], "axis": np.int32(1), "interleave": np.bool_(False)},
        lambda: torch.cat([t(X), t(Y)], 1),
    ),
    (
        "constexpr_affine_dequantize",
        {"quantized_data": SMALL, "zero_point": ZEROS, "scale": SCALES, "axis": np.int32(1)},
        lambda: LEVELS.dequantize(),
    ),
    (
        "constexpr_blockwise_shift_scale",
        {"data": SMALL, "scale": SCALES[None, :, None, None], "offset": ZEROS[None, :, None, None]},
        lambda: LEVELS.dequantize(),
    ),
    (
        "constexpr_lut_to_dense",  # 1, 63, 0 and 32 in 6 bits each
        {
            "indices": np.frombuffer((1 | 63 << 6 | 32 << 18).to_bytes(3, "little"), np.uint8),
            "lut": np.linspace(-1, 1, 64, dtype=np.float32),
            "shape": np.array([2, 2], np.uint32),
        },
        lambda: torch.linspace(-1, 1, 64)[torch.tensor([[1, 63], [0, 32]])],
    ),
    ("conv", _conv(), lambda: F.conv2d(t(X), t(Y[:, :, :3, :3]), padding=1)),
    (
        "conv",
        _conv(bias=np.array([1, 2], np.float32), strides=np.array([2, 1]), pad_type="valid"),
        lambda: F.conv2d(t(X), t(Y[:, :, :3, :3]), torch.tensor([1.0, 2.0]), stride=(2, 1)),
    ),
    (
        "conv",
        _conv(weight=Y[:, :2, :3, :3], groups=np.int32(2), dilations=np.array([1, 2]), pad=np.array([0, 0, 2, 2])),
        lambda: F.conv2d(t(X), t(Y[:, :2, :3, :3]), padding=(0, 2), dilation=(1, 2), groups=2),
    ),
    (
        "dequantize",
        {"input": SMALL, "scale": SCALES, "zero_point": ZEROS, "axis": np.int32(-3)},
        lambda: LEVELS.dequantize(),
    ),
    ("exp", {"x": X}, lambda: t(X).exp()),
    ("expand_dims", {"x": X[0], "axes": np.array([0, 3])}, lambda: t(X[0])[None].unsqueeze(3)),
    (
        "gather",
        {"x": X, "indices": np.array([3, 0, 1], np.uint16), "axis": np.int32(2), "batch_dims": np.int32(0)},
        lambda: t(X)[:, :, [3, 0, 1]],
    ),
    ("gelu", {"x": X, "mode": "EXACT"}, lambda: F.gelu(t(X))),
    ("gelu", {"x": X, "mode": "TANH_APPROXIMATION"}, lambda: F.gelu(t(X), approximate="tanh")),
    (
        "layer_norm",
        {"x": X, "axes": np.array([-1]), "gamma": CHANNELS, "beta": CHANNELS + 1, "epsilon": np.float32(1e-5)},
        lambda: F.layer_norm(t(X), (8,), t(CHANNELS), t(CHANNELS + 1), 1e-5),
    ),
    (
        "linear",
        {"x": X, "weight": Y[0, 0], "bias": CHANNELS[:6]},
        lambda: F.linear(t(X), t(Y[0, 0]), t(CHANNELS[:6])),
    ),
    ("log", {"x": POSITIVE, "epsilon": np.float32(1e-45)}, lambda: t(POSITIVE).log()),
    (
        "matmul",
        {"x": X, "y": Y, "transpose_x": np.bool_(True), "transpose_y": np.bool_(False)},
        lambda: t(X).mT @ t(Y),
    ),
    ("maximum", {"x": X, "y": np.float32(0.1)}, lambda: t(X).clamp(min=0.1)),
    ("mul", {"x": X, "y": Y}, lambda: t(X) * t(Y)),
    ("pow", {"x": X, "y": np.float32(2)}, lambda: t(X) ** 2),
    (
        "quantize",
        {"input": X, "scale": SCALES, "zero_point": ZEROS, "axis": np.int32(1), "output_dtype": "int8"},
        lambda: LEVELS.int_repr(),
    ),
    (
        "quantize",
        {"input": X, "scale": np.float32(0.01), "output_dtype": "uint8"},
        lambda: torch.quantize_per_tensor(t(X), 0.01, 0, torch.quint8).int_repr(),
    ),
    ("real_div", {"x": X, "y": POSITIVE}, lambda: t(X) / t(POSITIVE)),
    ("reduce_l2_norm", {"x": X, **AXES}, lambda: t(X).norm(dim=(1, 3), keepdim=True)),
    ("reduce_max", {"x": X, **AXES}, lambda: t(X).amax((1, 3), keepdim=True)),
    ("reduce_mean", {"x": X, **AXES}, lambda: t(X).mean((1, 3), keepdim=True)),
    ("relu", {"x": X}, lambda: t(X).relu()),
    ("reshape", {"x": X, "shape": np.array([8, -1])}, lambda: t(X).reshape(8, -1)),
    ("rsqrt", {"x": POSITIVE, "epsilon": np.float32(1e-12)}, lambda: t(POSITIVE).rsqrt()),
    (
        "scaled_dot_product_attention",
        {"query": X, "key": Y, "value": Y, "attn_mask": X[:, :, :, :6]},
        lambda: F.scaled_dot_product_attention(t(X), t(Y), t(Y), attn_mask=t(X[:, :, :, :6])),
    ),
    ("sigmoid", {"x": X}, lambda: t(X).sigmoid()),
    (
        "slice_by_index",
        {"x": X[0], "begin": np.array([1, 0, -3]), "end": np.array([3, 2, 0]), "end_mask": np.array([0, 0, 1], bool)},
        lambda: t(X[0])[1:3, 0:2, -3:],
    ),
    ("softmax", {"x": 100 * X, "axis": np.int32(-1)}, lambda: t(100 * X).softmax(-1)),
    ("split", {"x": X, "axis": np.int32(3), "split_sizes": np.array([3, 5])}, lambda: t(X).split([3, 5], 3)[1]),
    ("squeeze", {"x": X[:, :1], "axes": np.array([1])}, lambda: t(X[:, 0])),
    ("sub", {"x": X, "y": Y}, lambda: t(X) - t(Y)),
    ("tanh", {"x": X}, lambda: t(X).tanh()),
    ("tile", {"x": X, "reps": np.array([1, 2, 1, 3])}, lambda: t(X).repeat(1, 2, 1, 3)),
    ("transpose", {"x": X, "perm": np.array([0, 3, 1, 2])}, lambda: t(X).permute(0, 3, 1, 2)),
    (
        "upsample_bilinear",
        {"x": X, **_scales(2, 4), "align_corners": np.bool_(False)},
        lambda: F.interpolate(t(X), scale_factor=(2.0, 4.0), mode="bilinear", align_corners=False),
    ),
    (
        "upsample_bilinear",
        {"x": X, **_scales(2, 2), "align_corners": np.bool_(True)},
        lambda: F.interpolate(t(X), scale_factor=2.0, mode="bilinear", align_corners=True),
    ),
    ("upsample_nearest_neighbor", {"x": X, **_scales(2, 3)}, lambda: F.interpolate(t(X), scale_factor=(2.0, 3.0))),
]


@pytest.mark.parametrize(
    ("name", "arguments", "truth"), TRUTHS, ids=[f"{i}-{name}" for i, (name, *_) in enumerate(TRUTHS)]
)
def test_an_operation_computes_what_pytorch_computes(
    name: str, arguments: dict[str, Any], truth: Callable[[], torch.Tensor]
) -> None:
    found = OPERATIONS[name](**arguments)
    last = found[-1] if isinstance(found, list) else found
    assert last.shape == tuple(truth().shape)
    np.testing.assert_allclose(last, truth().numpy(), rtol=2e-6, atol=2e-6)


def test_every_operation_has_a_truth() -> None:
    assert {name for name, *_ in TRUTHS} == set(OPERATIONS)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("conv", _conv(pad_type="same")),
        ("gelu", {"x": X, "mode": "SIGMOID_APPROXIMATION"}),
        ("concat", {"values": [X, Y], "axis": np.int32(1), "interleave": np.bool_(True)}),
        ("gather", {"x": X, "indices": np.array([0]), "axis": np.int32(2), "batch_dims": np.int32(1)}),
        ("constexpr_blockwise_shift_scale", {"data": SMALL, "scale": np.ones((1, 2, 1, 1), np.float32)}),
    ],
)
def test_a_way_that_is_not_known_is_refused(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match="the evaluator knows"):
        OPERATIONS[name](**arguments)


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
