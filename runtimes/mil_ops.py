"""What each MIL operation computes, in numpy: one function an operation, arguments named as MIL names them.

Floats arrive as float32 (holding fp16 values where the program says fp16) and leave as float32; `mil.py` rounds.
Shapes are those of the MIL reference; N is a batch, C channels, and MIL's tensors have at most five axes.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mimdit.errors import BundleError

Array = np.ndarray


def conv(
    x: Array,
    weight: Array,
    *,
    bias: Array | None = None,
    strides: Array,
    pad_type: str,
    pad: Array,
    dilations: Array,
    groups: Array,
) -> Array:
    """x [N,C,H,W], weight [O,C/groups,h,w], pad [top,bottom,left,right] → [N,O,H',W'].

    A product of matrices for each place of the kernel: as fast as gathering all places of a 3×3 kernel first (10 ms for
    16 channels at 256×256, one core), in a ninth of the memory.
    """
    if pad_type not in ("custom", "valid") or x.ndim != 4:
        raise BundleError(f"the evaluator knows convolutions over two axes with given padding, not '{pad_type}'")
    top, bottom, left, right = pad.tolist() if pad_type == "custom" else (0, 0, 0, 0)
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    n, _, height, width = x.shape
    kernel, step, apart = weight.shape[2:], strides.tolist(), dilations.tolist()
    out = [(size - apart[i] * (kernel[i] - 1) - 1) // step[i] + 1 for i, size in enumerate((height, width))]
    count = int(groups)
    weight = weight.reshape(count, weight.shape[0] // count, *weight.shape[1:])  # [G,O/G,C/G,h,w]
    x = x.reshape(n, count, -1, height, width)  # [N,G,C/G,H,W]
    result = np.zeros((n, count, weight.shape[1], out[0] * out[1]), np.float32)
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            first, left = row * apart[0], column * apart[1]
            rows = slice(first, first + step[0] * (out[0] - 1) + 1, step[0])
            columns = slice(left, left + step[1] * (out[1] - 1) + 1, step[1])
            result += weight[..., row, column] @ x[..., rows, columns].reshape(n, count, x.shape[2], -1)
    result = result.reshape(n, -1, *out)
    return result if bias is None else result + bias[:, None, None]


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """x [...,I], weight [O,I] → [...,O]."""
    return x @ weight.T if bias is None else x @ weight.T + bias


def matmul(x: Array, y: Array, *, transpose_x: Array, transpose_y: Array) -> Array:
    return (x.swapaxes(-1, -2) if transpose_x else x) @ (y.swapaxes(-1, -2) if transpose_y else y)


def scaled_dot_product_attention(query: Array, key: Array, value: Array, attn_mask: Array | None = None) -> Array:
    """[...,L,E], [...,S,E], [...,S,V] → [...,L,V]; the mask is added to the scores."""
    scores = query @ key.swapaxes(-1, -2) / np.float32(math.sqrt(query.shape[-1]))
    return softmax(scores if attn_mask is None else scores + attn_mask, axis=-1) @ value


def softmax(x: Array, *, axis: Array | int) -> Array:
    powers = np.exp(x - x.max(int(axis), keepdims=True))
    return powers / powers.sum(int(axis), keepdims=True)


def layer_norm(
    x: Array, *, axes: Array, gamma: Array | None = None, beta: Array | None = None, epsilon: Array
) -> Array:
    over = tuple(axes.tolist())
    centred = x - x.mean(over, keepdims=True)
    x = centred / np.sqrt(np.square(centred).mean(over, keepdims=True) + epsilon)
    x = x if gamma is None else x * gamma
    return x if beta is None else x + beta


_erf = np.vectorize(math.erf, otypes=[np.float32])


def gelu(x: Array, *, mode: str) -> Array:
    if mode == "EXACT":
        return x * (1 + _erf(x / np.float32(math.sqrt(2)))) / 2
    if mode == "TANH_APPROXIMATION":
        return x * (1 + np.tanh(np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x**3))) / 2
    raise BundleError(f"the evaluator knows gelu in the modes EXACT and TANH_APPROXIMATION, not {mode:.40}")


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def clip(x: Array, *, alpha: Array, beta: Array) -> Array:
    return np.clip(x, alpha, beta)


def concat(values: Sequence[Array], *, axis: Array, interleave: Array) -> Array:
    if interleave:
        raise BundleError("the evaluator knows concat without interleaving only")
    return np.concatenate(values, int(axis))


def split(x: Array, *, axis: Array, split_sizes: Array) -> list[Array]:
    return np.split(x, np.cumsum(split_sizes)[:-1], int(axis))


def slice_by_index(
    x: Array,
    *,
    begin: Array,
    end: Array,
    begin_mask: Array | None = None,
    end_mask: Array | None = None,
) -> Array:
    """From `begin` up to `end` along every axis; where a mask is set, from or to the end of the axis."""
    first = [None if begin_mask is not None and begin_mask[i] else int(b) for i, b in enumerate(begin)]
    last = [None if end_mask is not None and end_mask[i] else int(e) for i, e in enumerate(end)]
    return x[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]


def gather(x: Array, indices: Array, *, axis: Array, batch_dims: Array, validate_indices: Array | None = None) -> Array:
    """numpy refuses an index outside, whether `validate_indices` asks for it or not."""
    if batch_dims:
        raise BundleError("the evaluator knows gather without batch axes only")
    return np.take(x, indices.astype(np.int64), int(axis))


def expand_dims(x: Array, *, axes: Array) -> Array:
    return np.expand_dims(x, tuple(axes.tolist()))


def squeeze(x: Array, *, axes: Array) -> Array:
    return np.squeeze(x, tuple(axes.tolist()))


def upsample_bilinear(
    x: Array, *, scale_factor_height: Array, scale_factor_width: Array, align_corners: Array
) -> Array:
    height, width = (
        _between(size, math.floor(size * float(scale)), bool(align_corners))
        for size, scale in zip(x.shape[-2:], (scale_factor_height, scale_factor_width), strict=True)
    )
    return height @ x @ width.T


def _between(size: int, out: int, corners: bool) -> Array:
    """f32[out,size]: how much of each place goes into each place of the enlarged axis."""
    spacing = (size - 1) / max(out - 1, 1) if corners else size / out
    at = np.clip(np.arange(out) * spacing + (0 if corners else spacing / 2 - 0.5), 0, size - 1)
    return np.maximum(1 - np.abs(at[:, None] - np.arange(size)), 0).astype(np.float32)


def upsample_nearest_neighbor(x: Array, *, scale_factor_height: Array, scale_factor_width: Array) -> Array:
    rows, columns = (
        np.arange(math.floor(size * float(scale))) / float(scale)
        for size, scale in zip(x.shape[-2:], (scale_factor_height, scale_factor_width), strict=True)
    )
    return x[..., rows.astype(int), :][..., columns.astype(int)]


def constexpr_affine_dequantize(quantized_data: Array, *, zero_point: Array, scale: Array, axis: Array) -> Array:
    """One scale and zero point for all, or one for every place along the axis."""
    return dequantize(quantized_data, scale=scale, zero_point=zero_point, axis=axis)


def constexpr_lut_to_dense(indices: Array, *, lut: Array, shape: Array) -> Array:
    """A palette of 2ⁿ values; `indices` u8, n bits each, the first in the lowest bits of the first byte."""
    bits = int(np.log2(lut.size))
    stream = np.unpackbits(indices.view(np.uint8), bitorder="little")[: bits * int(np.prod(shape))]
    return lut[stream.reshape(-1, bits) @ (1 << np.arange(bits))].reshape(shape.astype(int))


def constexpr_blockwise_shift_scale(data: Array, *, scale: Array, offset: Array | None = None) -> Array:
    """data of any shape; scale and offset of as many axes, each 1 or as long as that of the data."""
    if any(size not in (1, whole) for size, whole in zip(scale.shape, data.shape, strict=True)):
        raise BundleError("the evaluator knows scales of whole axes and of single places, not of blocks")
    data = data.astype(np.float32)
    return (data if offset is None else data - offset) * scale


def quantize(
    input: Array, *, scale: Array, output_dtype: str, zero_point: Array | None = None, axis: Array | None = None
) -> Array:
    """Halves go to the even number; what passes the type's range becomes its end."""
    limits = np.iinfo(output_dtype)
    levels = np.rint(input / _along(scale, axis, input.ndim))
    if zero_point is not None:
        levels += _along(zero_point, axis, input.ndim)
    return levels.clip(limits.min, limits.max).astype(output_dtype)


def dequantize(input: Array, *, scale: Array, zero_point: Array | None = None, axis: Array | None = None) -> Array:
    levels = input.astype(np.float32)
    if zero_point is not None:
        levels -= _along(zero_point, axis, input.ndim)
    return levels * _along(scale, axis, input.ndim)


def _along(values: Array, axis: Array | None, axes: int) -> Array:
    """A vector along one of so many axes; a single number stays one."""
    if axis is None or values.ndim == 0:
        return values
    return values.reshape([-1 if i == int(axis) % axes else 1 for i in range(axes)])


def _reduction(function: Callable[..., Array]) -> Callable[..., Array]:
    def reduce(x: Array, *, axes: Array, keep_dims: Array) -> Array:
        return function(x, axis=tuple(axes.tolist()), keepdims=bool(keep_dims))

    return reduce


def _l2_norm(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    return np.sqrt(np.square(x).sum(axis, keepdims=keepdims))


def _binary(function: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    return lambda x, y: function(x, y)


def _unary(function: Callable[[Array], Array]) -> Callable[..., Array]:
    return lambda x: function(x)


OPERATIONS: Mapping[str, Callable[..., Array | list[Array]]] = {
    "add": _binary(np.add),
    "cast": lambda x, dtype: x,  # the type that the output is declared with does it
    "clip": clip,
    "concat": concat,
    "constexpr_affine_dequantize": constexpr_affine_dequantize,
    "constexpr_blockwise_shift_scale": constexpr_blockwise_shift_scale,
    "constexpr_lut_to_dense": constexpr_lut_to_dense,
    "conv": conv,
    "dequantize": dequantize,
    "equal": _binary(np.equal),
    "exp": _unary(np.exp),
    "expand_dims": expand_dims,
    "gather": gather,
    "gelu": gelu,
    "layer_norm": layer_norm,
    "linear": linear,
    "log": lambda x, epsilon: np.log(x + epsilon),
    "matmul": matmul,
    "maximum": _binary(np.maximum),
    "mul": _binary(np.multiply),
    "pow": _binary(np.power),
    "quantize": quantize,
    "real_div": _binary(np.divide),
    "reduce_l2_norm": _reduction(_l2_norm),
    "reduce_max": _reduction(np.max),
    "reduce_mean": _reduction(np.mean),
    "relu": lambda x: np.maximum(x, 0),
    "reshape": lambda x, shape: x.reshape(shape),
    "rsqrt": lambda x, epsilon: 1 / np.sqrt(x + epsilon),
    "scaled_dot_product_attention": scaled_dot_product_attention,
    "select": lambda cond, a, b: np.where(cond, a, b),
    "sigmoid": sigmoid,
    "slice_by_index": slice_by_index,
    "softmax": softmax,
    "split": split,
    "squeeze": squeeze,
    "sub": _binary(np.subtract),
    "tanh": _unary(np.tanh),
    "tile": lambda x, reps: np.tile(x, reps),
    "transpose": lambda x, perm: x.transpose(perm),
    "upsample_bilinear": upsample_bilinear,
    "upsample_nearest_neighbor": upsample_nearest_neighbor,
}
