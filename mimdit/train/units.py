"""Dead units: channels that a ReLU lets nothing of through, on any photo.

Such a unit has no gradient and does not come back by itself, but is computed all the same. Half of a variant's and more
were dead (docs/rounds.md, eleventh round), and nothing in loss or PSNR had said so: runs report them now.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

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
    shares: list[Tensor] = field(default_factory=list)  # f32[C] a pass: of the places that are above 0
    means: list[Tensor] = field(default_factory=list)  # f32[C] a pass: of what the layer put out

    @property
    def dead(self) -> Tensor:
        """bool[C]. None is known to be before the layer has run."""
        if not self.shares:
            return torch.zeros(self.layer.out_channels, dtype=torch.bool)
        return torch.stack(self.shares).mean(0) < _ALIVE

    @property
    def mean(self) -> Tensor:
        """f32[C]: the layer's mean output."""
        return torch.stack(self.means).mean(0)

    def see(self, module: nn.Module, given: object, output: Tensor) -> None:
        """One pass, as a forward hook."""
        seen = output.detach().float()
        self.shares.append((seen > 0).float().mean((0, 2, 3)))
        self.means.append(seen.mean((0, 2, 3)))


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
    dead = [part.dead for part in units.values() if part.shares]
    return float(torch.cat(dead).float().mean()) if dead else 0.0
