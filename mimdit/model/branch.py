"""The MiM branch: reads the degraded latent once, guides the backbone through zero-initialised projections.

It does not see the noisy latent or the time, so its result serves every sampling step.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mimdit.config import PHOTO_PATCH, ModelConfig
from mimdit.model.moe import MiMBlock, Routing, StaticMiMBlock
from mimdit.model.routing_view import RoutingView

LOG_SLOPE = 64.0  # steepness of the log form at black


def photo_tokens(photo: Tensor) -> Tensor:
    """f32[B,3,64,64] in 0..1 → f32[B,64,384]: 8×8 patches, in linear and in log form (exposure is a factor)."""
    b, c, h, w = photo.shape
    p = PHOTO_PATCH
    both = torch.cat([photo, log_form(photo)], 1).reshape(b, 2 * c, h // p, p, w // p, p)
    return both.permute(0, 2, 4, 1, 3, 5).reshape(b, (h // p) * (w // p), 2 * c * p * p)


def log_form(x: Tensor) -> Tensor:
    """0..1 → 0..1 with the dark stretched: a factor on the light becomes an offset, which convolutions can undo."""
    return torch.log(x * LOG_SLOPE + 1) / math.log(LOG_SLOPE + 1)


class MiMBranch(nn.Module):
    """Degraded latent f32[B,Z,h,w] and photo tokens → one guidance per backbone layer, and one for its output."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        c = config.branch_channels
        self.photo = nn.Linear(2 * 3 * PHOTO_PATCH**2, c)
        self.stem = nn.Conv2d(config.latent_channels, c, 3, padding=1)
        self.frozen = config.plan is not None
        if not self.frozen:
            self.routing_view = RoutingView()
        self.blocks = nn.ModuleList(
            [
                StaticMiMBlock(c, config.expert_channels, config.plan.blocks[i], shifted=bool(i % 2))
                if config.plan
                else MiMBlock(c, config.expert_channels, config.experts, config.top_k, shifted=bool(i % 2))
                for i in range(config.branch_blocks)
            ]
        )
        patch = config.patch_size
        self.guides = nn.ModuleList(
            [_zeroed(nn.Conv2d(c, config.inner_dim, patch, stride=patch)) for _ in range(config.num_layers)]
        )
        # The backbone sees patches; what the experts found at latent resolution reaches the output past them.
        self.velocity = _zeroed(nn.Conv2d(c, config.latent_channels, 1))
        # Layer i of the backbone is guided by the MiM block that lies as deep in the branch.
        self.source = [i * config.branch_blocks // config.num_layers for i in range(config.num_layers)]

    def forward(
        self, image: Tensor, photo: Tensor, latent: Tensor, tokens: Tensor, forced: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor, list[Routing]]:
        """The tile f32[B,3,H,W] and the photo f32[B,3,64,64] themselves are for the routers alone.

        `forced` i64[B,blocks,4]: sub-experts to use whatever the router says; negative leaves the choice free.
        """
        summary = F.relu(self.photo(tokens)).mean(1)  # [B,C]
        x = self.stem(latent) + summary[:, :, None, None]  # [B,C,h,w]
        outputs: list[Tensor] = []
        routings: list[Routing] = []
        view = None if self.frozen else self.routing_view(image, photo)
        for i, block in enumerate(self.blocks):
            if isinstance(block, StaticMiMBlock):
                x = block(x)
            else:
                x, routing = block(x, view, None if forced is None else forced[:, i])
                routings.append(routing)
            outputs.append(x)
        outputs = outputs or [x]  # no MiM block: a plain transformer, guided by the stem
        guides = [
            guide(outputs[source]).flatten(2).transpose(1, 2)  # [B,tokens,inner]
            for guide, source in zip(self.guides, self.source, strict=True)
        ]
        return guides, self.velocity(x), routings

    def route(self, image: Tensor, photo: Tensor) -> list[Routing]:
        """What the routers decide of a tile, one a block, without running any expert."""
        view = self.routing_view(image, photo)
        return [block.route(view) for block in self.blocks if isinstance(block, MiMBlock)]


def _zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
