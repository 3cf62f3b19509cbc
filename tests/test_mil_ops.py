"""Core ML's operations as they are computed without a Mac, each against PyTorch's."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mimdit.errors import BundleError
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
    ("equal", {"x": X.round(), "y": Y[0].round()}, lambda: t(X.round()) == t(Y[0].round())),
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
    ("select", {"cond": X > 0, "a": X, "b": np.float32(0.1)}, lambda: t(X).where(t(X) > 0, 0.1)),
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
