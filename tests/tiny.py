"""As much of a `DeployableGraph` as a quantizer uses, with layers of either kind; exported in a second."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mimdit.export.graph import DeployableGraph
from mimdit.model.checkpoint import checkpoint_hash

TINY_TILE = 64
SMALL = ("stem", "tokens")  # the layers that are to have 8 bits when none is put back to float


class _Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        first, last = nn.Conv2d(3, 64, 3, stride=4, padding=1), nn.Conv2d(64, 3, 1)
        self.codec = nn.ModuleDict({"encoder": nn.ModuleDict({"stem": first}), "decoder": nn.ModuleDict()})
        self.codec["decoder"]["residual"] = last  # pyright: ignore[reportIndexIssue, reportArgumentType]
        self.stem = nn.Conv2d(64, 64, 3, padding=1)
        self.tokens = nn.Linear(64, 64)
        self.register_buffer("noise", 0.1 * torch.randn(1, 64, 16, 16))


class TinyGraph(nn.Module):
    """image, photo → restored. Its first and last layers are called as those that always stay in float."""

    name, tile, steps = f"tiny-{TINY_TILE}", TINY_TILE, 1

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.model = _Layers()
        self.eval().requires_grad_(False)
        for values in self.state_dict().values():  # as those of every variant
            values.copy_(values.half())

    def forward(self, image: Tensor, photo: Tensor) -> Tensor:
        layers = dict(self.model.named_modules())
        x = layers["codec.encoder.stem"](image - photo.mean((2, 3), keepdim=True))  # [1,64,16,16]
        x = layers["stem"](x).relu() + self.model.noise
        x = x + layers["tokens"](x.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(x.shape)
        x = F.interpolate(layers["codec.decoder.residual"](x), scale_factor=4.0, mode="bilinear")
        return (image + x).clamp(0, 1)

    @property
    def checkpoint(self) -> str:
        return checkpoint_hash(self.model)

    example_inputs = DeployableGraph.example_inputs
    cost = DeployableGraph.cost


def weight(graph: TinyGraph, layer: str) -> Tensor:
    """f32 weight of a layer."""
    return graph.model.get_parameter(f"{layer}.weight")
