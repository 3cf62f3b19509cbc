"""Dead units: channels that a ReLU lets nothing of through, on any photo.

Such a unit has no gradient and does not come back by itself, but is computed all the same. Half of a variant's and more
were dead (docs/training.md, eleventh round), and nothing in loss or PSNR had said so: runs report them now.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mimdit.model.codec import Gates, ResBlock
from mimdit.model.experts import SqueezeExcitation
from mimdit.model.mimdit import MiMDiT

_ALIVE = 1e-3  # share of places where a living unit lets something through


@dataclass
class Units:
    """A layer that a ReLU follows, with the layers that read it and nothing else; and what it did while watched."""

    layer: nn.Conv2d
    followers: list[nn.Conv2d]
    passes: int = 0
    open: Tensor | float = 0.0  # f32[C]: share of places above 0, summed over the passes
    outputs: Tensor | float = 0.0  # f32[C]: mean of the layer's output, summed likewise

    @property
    def dead(self) -> Tensor:
        """bool[C]. None is known to be before the layer has run."""
        if not self.passes:
            return torch.zeros(self.layer.out_channels, dtype=torch.bool)
        return torch.as_tensor(self.open) / self.passes < _ALIVE

    @property
    def mean(self) -> Tensor:
        """f32[C]: the layer's mean output."""
        return torch.as_tensor(self.outputs) / self.passes

    def see(self, module: nn.Module, given: object, output: Tensor) -> None:
        """One pass, as a forward hook."""
        seen = output.detach().float()
        self.passes += 1
        self.open = self.open + (seen > 0).float().mean((0, 2, 3))
        self.outputs = self.outputs + seen.mean((0, 2, 3))


@contextmanager
def watched(model: MiMDiT) -> Iterator[dict[str, Units]]:
    """The rectified layers of codec and experts by name, watched while the model runs inside the `with`.

    Those of spatial attention are left out: what follows them is their mean and maximum.
    """
    units: dict[str, Units] = {}
    for name, module in model.named_modules():
        if isinstance(module, ResBlock):
            units[f"{name}.first"] = Units(module.first, [module.second])
        elif isinstance(module, SqueezeExcitation):
            units[f"{name}.proj"] = Units(module.proj, [module.squeeze, module.out])
        elif isinstance(module, Gates):
            units[f"{name}.trunk"] = Units(module.trunk, [])  # its readers read the restored latent with it
    hooks = [part.layer.register_forward_hook(part.see) for part in units.values()]
    try:
        yield units
    finally:
        for hook in hooks:
            hook.remove()


def dead_share(units: dict[str, Units]) -> float:
    """Of all units of the layers that have run, 0..1."""
    dead = [part.dead for part in units.values() if part.passes]
    return float(torch.cat(dead).float().mean()) if dead else 0.0
