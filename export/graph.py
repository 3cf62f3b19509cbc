"""The deployable graph: photo tile in, photo tile out, nothing left for the app to write.

    image f32[1,3,T,T], photo f32[1,3,64,64], both 0..1  →  restored f32[1,3,T,T] in 0..1

Encoder, branch, all student steps unrolled with shared weights, decoder and clamp. What depends on the sampling step
alone (the time embedding and every modulation made from it) is computed once and stands in the graph as a constant.
"""

import copy
import hashlib
import itertools
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mimdit.config import PHOTO_SIZE
from mimdit.errors import CheckpointError
from mimdit.model.checkpoint import checkpoint_hash
from mimdit.model.cost import gmac
from mimdit.model.mimdit import MiMDiT
from mimdit.model.sampler import TRAIN_TIMESTEPS, seed_noise, sigma_schedule
from mimdit.routing.plan import RoutingPlan
from mimdit.targets import Variant

if TYPE_CHECKING:
    from mimdit.export.fp16_lint import Fragile

TILE_MULTIPLE = 64  # codec 1/8, Swin windows of up to 8


class DeployableGraph(nn.Module):
    """A frozen variant at one tile size and number of steps. The model handed in is copied, not changed."""

    def __init__(self, model: MiMDiT, *, tile: int, steps: int):
        super().__init__()
        if model.shape.plan is None:
            raise CheckpointError("only a frozen variant can be deployed: run  mimdit freeze  first")
        if tile % TILE_MULTIPLE:
            raise CheckpointError(f"a tile of {tile} px cannot be exported: choose a multiple of {TILE_MULTIPLE}")
        self.plan: RoutingPlan = model.shape.plan
        self.tile, self.steps = tile, steps
        self.sigmas = sigma_schedule(steps, model.shape.shift)
        self.checkpoint = checkpoint_hash(model)  # before constants are folded, whose last bits depend on the CPU
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._clock = _Clock()
        _fold_time(self.model, self.sigmas[:-1], self._clock)
        _fold_positions(self.model, tile // 8)
        noise = seed_noise(model.shape.latent_channels, tile // 8, tile // 8)
        self.register_buffer("noise", noise, persistent=False)
        self.eval()

    @property
    def variant(self) -> Variant:
        return self.plan.variant

    @property
    def name(self) -> str:
        """Stem of the files made from this graph."""
        return f"{self.variant}-{self.tile}"

    def forward(self, image: Tensor, photo: Tensor) -> Tensor:
        degraded, skips = self.model.codec.encode(image)  # [1,Z,T/8,T/8]
        guidance = self.model.guide(image, degraded, photo)
        latent: Tensor = self.noise  # pyright: ignore[reportAssignmentType]
        for step, (sigma, following) in enumerate(itertools.pairwise(self.sigmas)):
            self._clock.step = step
            latent = latent + (following - sigma) * self.model.velocity(latent, latent.new_full((1,), sigma), guidance)
        return self.model.codec.decode(latent, degraded, image, skips).clamp(0, 1)

    def example_inputs(self) -> tuple[Tensor, Tensor]:
        """Inputs of the right shapes, for tracing."""
        generator = torch.Generator().manual_seed(0)
        image = torch.rand(1, 3, self.tile, self.tile, generator=generator)
        return image, torch.rand(1, 3, PHOTO_SIZE, PHOTO_SIZE, generator=generator)

    @cached_property
    def fragile(self) -> "tuple[Fragile, ...]":
        """The operations that an fp16 file has to compute in fp32."""
        from mimdit.export.fp16_lint import lint

        return lint(self)

    def cost(self) -> tuple[int, float]:
        """Parameters (constants folded from the time left out) and 10⁹ multiply-accumulates for one tile."""
        return sum(p.numel() for p in self.model.parameters()), gmac(lambda: self(*self.example_inputs()))


def joint_hash(checkpoints: Iterable[str]) -> str:
    """sha256 over the checkpoints of graphs in their order: what a manifest has as its own."""
    return hashlib.sha256("".join(checkpoints).encode()).hexdigest()


class _Clock:
    """Which sampling step the graph is in while it is traced."""

    step = 0


class _PerStep(nn.Module):
    """A linear layer over the time embedding, replaced by its value at each step: f32[1,out]."""

    def __init__(self, layer: nn.Module, embeddings: list[Tensor], clock: _Clock):
        super().__init__()
        self.clock = clock
        for step, embedding in enumerate(embeddings):
            self.register_buffer(f"step{step}", layer(embedding))

    def forward(self, ignored: Tensor) -> Tensor:
        return getattr(self, f"step{self.clock.step}")


class _NoTime(nn.Module):
    """Stands in for the time embedding, whose every use has been folded."""

    def forward(self, timestep: Tensor, pooled: Tensor) -> Tensor:
        return pooled[:, :1]


@torch.no_grad()
def _fold_time(model: MiMDiT, sigmas: list[float], clock: _Clock) -> None:
    net = model.backbone
    pooled: Tensor = model.pooled_prompt  # pyright: ignore[reportAssignmentType]
    embeddings = [
        nn.functional.silu(net.time_text_embed(torch.tensor([sigma * TRAIN_TIMESTEPS]), pooled)) for sigma in sigmas
    ]
    norms = [net.norm_out, *(n for block in net.transformer_blocks for n in (block.norm1, block.norm1_context))]
    for norm in norms:
        norm.linear = _PerStep(norm.linear, embeddings, clock)  # pyright: ignore[reportArgumentType]
    net.time_text_embed = _NoTime()  # pyright: ignore[reportAttributeAccessIssue]


def _fold_positions(model: MiMDiT, side: int) -> None:
    """Keep the positions of a side × side latent only, or none where the model has none."""
    embed = model.backbone.pos_embed
    embed.pos_embed = embed.cropped_pos_embed(side, side).clone() if model.shape.positions else None
    embed.pos_embed_max_size = None
    embed.height = embed.width = side // model.shape.patch_size
