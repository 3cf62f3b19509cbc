"""Operations that XNNPACK lacks, written in those that it has, so that a whole graph becomes one delegate.

What XNNPACK does not take stays with ExecuTorch's portable kernels, written for clarity and not for speed, and each
such place cuts the graph: tensors are copied between the layouts of the two. The sketch that took five times ONNX
Runtime's time had its normalisations, nearest enlargements, maxima over channels and the constant bias of window
attention there, in 23 pieces. All replacements are exact or differ by rounding.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from torch.export import ExportedProgram

aten = torch.ops.aten

# They hold a tensor against a smaller one by themselves: what was expanded for them alone need not be.
_BROADCASTING = {aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.maximum.default}


def rewrite(program: "ExportedProgram") -> "ExportedProgram":
    """The same program in operations of XNNPACK; what depends on no input is computed once and becomes a constant."""
    from executorch.exir.passes.constant_prop_pass import constant_prop_pass

    table = torch.export.default_decompositions()
    for own in (aten.linear.default, aten.conv2d.default):  # XNNPACK's, and its quantizer's, own
        del table[own]
    table.update(_REWRITTEN)
    program = program.run_decompositions(table)
    for node in list(program.graph.nodes):
        if node.target is aten.expand.default and all(user.target in _BROADCASTING for user in node.users):
            node.replace_all_uses_with(node.args[0])
    program.graph.eliminate_dead_code()
    program.graph_module.recompile()
    # By default `full` is no constant, to save space: here it fills weights of a few values, which must be constants.
    return constant_prop_pass(program, custom_skip_targets=set())


# Each function below has the arguments of the operation that it stands for. NotImplemented leaves it as it is.


def _layer_norm(
    x: Tensor, shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5, _=True
) -> Tensor:
    if len(shape) != 1:
        return NotImplemented
    x = x - x.mean(-1, keepdim=True)
    x = x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps)
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def _mean(x: Tensor, dims: list[int] | None, keepdim: bool = False, dtype: torch.dtype | None = None) -> Tensor:
    """XNNPACK has the mean over both sides of a map. Over one axis it is a product with a row of 1/n."""
    axes = sorted(d % x.dim() for d in dims or range(x.dim()))
    kept = [1 if d in axes else size for d, size in enumerate(x.shape)]
    if x.dim() == 4 and axes == [2, 3]:
        if keepdim:
            return NotImplemented
        mean = x.mean((2, 3), keepdim=True)
    elif len(axes) > 1:
        return NotImplemented
    elif x.dim() == 4 and axes == [1]:
        mean = F.conv2d(x, torch.full((1, x.shape[1], 1, 1), 1 / x.shape[1], dtype=x.dtype))
    else:
        last = x.transpose(axes[0], -1)
        row = torch.full((1, last.shape[-1]), 1 / last.shape[-1], dtype=x.dtype)
        mean = F.linear(last, row).transpose(axes[0], -1)
    return mean if keepdim else mean.reshape([size for d, size in enumerate(kept) if d not in axes])


def _sum(x: Tensor, dims: list[int] | None, keepdim: bool = False, dtype: torch.dtype | None = None) -> Tensor:
    count = x.numel() if not dims else torch.Size([x.shape[d] for d in dims]).numel()
    return x.mean(dims, keepdim) * count


def _norm(
    x: Tensor, order: float = 2, dims: list[int] | None = None, keepdim: bool = False, dtype: Any = None
) -> Tensor:
    return (x * x).sum(dims, keepdim).sqrt() if order == 2 else NotImplemented


def _pow(x: Tensor, exponent: float) -> Tensor:
    return x * x if exponent == 2 else NotImplemented


def _amax(x: Tensor, dims: Sequence[int], keepdim: bool = False) -> Tensor:
    """Halves are held against each other until one is left."""
    if len(dims) != 1 or not keepdim:
        return NotImplemented
    while (n := x.shape[dims[0]]) > 1:
        half = (n + 1) // 2
        x = torch.maximum(x.narrow(dims[0], 0, half), x.narrow(dims[0], n - half, half))
    return x


def _gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """XNNPACK's own is the exact one, and is used for the approximation too, without a word."""
    if approximate != "tanh":
        return NotImplemented
    return x * torch.sigmoid((x + 0.044715 * (x * x * x)) * 2 * (2 / torch.pi) ** 0.5)


def _nearest(x: Tensor, size: Sequence[int] | None, factors: Sequence[float] | None) -> Tensor:
    """A transposed convolution whose every tap is the identity: 1 % of the arithmetic of the codec."""
    if factors is None or tuple(factors) != (2.0, 2.0):
        return NotImplemented
    channels = x.shape[1]
    identity = torch.eye(channels, dtype=x.dtype)[:, :, None, None]
    return F.conv_transpose2d(x, identity * torch.ones(2, 2, dtype=x.dtype), stride=2)


def _attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Without the guard against rows that are masked whole: a finite mask has none."""
    b, heads, n, c = q.shape
    q = (q * (c**-0.5 if scale is None else scale)).reshape(b * heads, n, c)
    scores = q @ k.reshape(b * heads, -1, c).transpose(1, 2)  # [B·heads,n,m]
    if mask is not None:
        scores = (scores.reshape(b, heads, n, -1) + mask).reshape(scores.shape)
    return (scores.softmax(-1) @ v.reshape(b * heads, -1, c)).reshape(b, heads, n, c)


def _matmul(a: Tensor, b: Tensor) -> Tensor:
    if a.dim() < 3 or a.shape[:-2] != b.shape[:-2]:
        return NotImplemented
    n = a.shape[:-2].numel()
    product = torch.bmm(a.reshape(n, *a.shape[-2:]), b.reshape(n, *b.shape[-2:]))
    return product.reshape(*a.shape[:-1], b.shape[-1])


def _roll(x: Tensor, shifts: Sequence[int], dims: Sequence[int] = ()) -> Tensor:
    for shift, dim in zip(shifts, dims, strict=True):
        cut = -shift % x.shape[dim]
        x = torch.cat([x.narrow(dim, cut, x.shape[dim] - cut), x.narrow(dim, 0, cut)], dim)
    return x


def _split(x: Tensor, sizes: Sequence[int] | int, dim: int = 0) -> list[Tensor]:
    if isinstance(sizes, int):
        sizes = [min(sizes, x.shape[dim] - start) for start in range(0, x.shape[dim], sizes)]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [x.narrow(dim, start, size) for start, size in zip(starts, sizes, strict=True)]


def _select(x: Tensor, dim: int, index: int) -> Tensor:
    return x.narrow(dim, index % x.shape[dim], 1).squeeze(dim)


# Axes of size 1 come and go by reshaping; what changes nothing goes.


def _unsqueeze(x: Tensor, dim: int) -> Tensor:
    dim %= x.dim() + 1
    return x.reshape(*x.shape[:dim], 1, *x.shape[dim:])


def _squeeze(x: Tensor, dims: Sequence[int] | int) -> Tensor:
    axes = {d % x.dim() for d in ([dims] if isinstance(dims, int) else dims)}
    return x.reshape([size for d, size in enumerate(x.shape) if d not in axes or size != 1])


def _expand(x: Tensor, size: Sequence[int], *, implicit: bool = False) -> Tensor:
    same = len(size) == x.dim() and all(new in (-1, old) for new, old in zip(size, x.shape, strict=True))
    return x if same else NotImplemented


def _repeat(x: Tensor, times: Sequence[int]) -> Tensor:
    return x if len(times) == x.dim() and set(times) == {1} else NotImplemented


def _copy(x: Tensor, *, dtype: torch.dtype | None = None, **where: Any) -> Tensor:
    return x if dtype in (None, x.dtype) else NotImplemented


def _with_constant(operation: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """A number becomes a tensor of one value: left to ExecuTorch, each is converted anew at every run."""

    def rewritten(x: Tensor, y: Tensor | float, **options: Any) -> Tensor:
        if isinstance(y, Tensor) or options or not x.is_floating_point():
            return NotImplemented
        return operation(x, torch.full((1,), y, dtype=x.dtype))

    return rewritten


_REWRITTEN: dict[Any, Callable[..., Any]] = {
    aten.layer_norm.default: _layer_norm,
    aten.mean.dim: _mean,
    aten.sum.dim_IntList: _sum,
    aten.linalg_vector_norm.default: _norm,
    aten.pow.Tensor_Scalar: _pow,
    aten.amax.default: _amax,
    aten.gelu.default: _gelu,
    aten.upsample_nearest2d.vec: _nearest,
    aten.scaled_dot_product_attention.default: _attention,
    aten.matmul.default: _matmul,
    aten.roll.default: _roll,
    aten.split.Tensor: _split,
    aten.split_with_sizes.default: _split,
    aten.select.int: _select,
    aten.unsqueeze.default: _unsqueeze,
    aten.squeeze.dim: _squeeze,
    aten.squeeze.dims: _squeeze,
    aten.expand.default: _expand,
    aten.repeat.default: _repeat,
    aten._to_copy.default: _copy,
    aten.add.Tensor: _with_constant(torch.add),
    aten.mul.Tensor: _with_constant(torch.mul),
    aten.div.Tensor: _with_constant(torch.div),
}
