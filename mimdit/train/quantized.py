"""Training in the numbers of w8a8, so that weights learn to live with their rounding.

Where a quantizer puts 8 bits, the forward pass rounds and the backward pass does not notice (torch's fake_quantize, the
straight-through estimator): weights to a scale a channel, what a layer reads and what it gives to one range each. The
ranges are the extremes over the first batches under the weights that the run starts from, and stay: a resumed run finds
the very same, and nothing but plain weights is ever stored. This rounds more than files do, which give what a linear
layer makes in float and spend no step on what a ReLU cuts away.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch

import torch
from torch import Tensor, nn

from mimdit.float_layers import ALWAYS_FLOAT, READS_A_CONSTANT
from mimdit.model.mimdit import MiMDiT
from mimdit.train.data import Batch
from mimdit.train.objective import Objective

RANGED = 4  # batches that ranges are found on

_FLOATING = (*ALWAYS_FLOAT, READS_A_CONSTANT)
_FOLDED = ("backbone.time_text_embed.*", "backbone.*norm*.linear")  # depend on the time alone: constants in a file
_WEIGHT, _ACTIVATION = 127, 255  # steps: symmetric, and with a zero point


class Rounded(nn.Module):
    """An objective whose network computes as its w8a8 file will."""

    def __init__(self, objective: Objective, first: Iterable[Batch]):
        """Finds the ranges on `first`; from then on the objective's model rounds what its layers read and give."""
        super().__init__()
        self.objective = objective
        self.names = list(rounded_layers(objective.model))
        for layer, (read, given) in _ranges(objective, first).items():
            layer.register_forward_pre_hook(lambda _, args, read=read: (read.rounded(args[0]),))
            layer.register_forward_hook(lambda _, args, result, given=given: given.rounded(result))

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """The losses of `Objective.forward`, under rounded weights."""
        weights = {f"model.{name}.weight": self.objective.model.get_parameter(f"{name}.weight") for name in self.names}
        rounded = {name: _rounded(weight) for name, weight in weights.items()}
        return torch.func.functional_call(self.objective, rounded, (batch, step))


def rounded_layers(model: MiMDiT) -> dict[str, nn.Module]:
    """The layers that have 8 bits in a w8a8 file of a frozen variant, by name."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear))
        and name not in _FLOATING
        and not any(fnmatch(name, pattern) for pattern in _FOLDED)
    }


@dataclass
class _Range:
    """The values that a tensor takes; 0 is one of them, so that padding is exact."""

    low: float = 0.0
    high: float = 0.0

    def widen(self, x: Tensor) -> None:
        self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))

    def rounded(self, x: Tensor) -> Tensor:
        step = (self.high - self.low) / _ACTIVATION or 1.0
        zero = round(-self.low / step)
        return torch.fake_quantize_per_tensor_affine(x.float(), step, zero, 0, _ACTIVATION).to(x.dtype)


def _ranges(objective: Objective, batches: Iterable[Batch]) -> dict[nn.Module, tuple[_Range, _Range]]:
    """Of what each layer reads and gives while the batches are restored."""
    found = {layer: (_Range(), _Range()) for layer in rounded_layers(objective.model).values()}

    def look(layer: nn.Module, args: tuple[Tensor, ...], result: Tensor) -> None:
        for seen, x in zip(found[layer], (args[0], result), strict=True):
            seen.widen(x)

    hooks = [layer.register_forward_hook(look) for layer in found]
    for batch in batches:
        objective.restore(batch)
    for hook in hooks:
        hook.remove()
    return found


def _rounded(weight: Tensor) -> Tensor:
    """A weight, output channels first, in 8 bits a channel."""
    step = weight.detach().abs().flatten(1).amax(1) / _WEIGHT
    step = torch.where(step == 0, 1.0, step)
    zero = torch.zeros_like(step, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, step, zero, 0, -_WEIGHT, _WEIGHT)
