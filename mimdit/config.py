"""The network's shape: one set of classes, several sizes. Torch-free, so that tools can reason about it.

preset        backbone (width × layers)   MiM branch          codec
nano          64 × 2                      32 × 2 blocks       edge, widths 8 16 32 48     tests, quick trials
small         160 × 2                     96 × 3 blocks       edge, widths 16 32 64 96    what ships
sd35-medium   1536 × 24                   640 × 6 blocks      SD3 VAE                     the paper's scale
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from mimdit.errors import CheckpointError
from mimdit.routing.plan import RoutingPlan

PHOTO_SIZE = 64  # px: side of the whole-photo reduction that every tile is accompanied by
TILE_OVERLAP = 64  # px that neighbouring tiles share; docs/restoring.md has the trade
PHOTO_PATCH = 8  # px: side of one token of that reduction

Preset = Literal["nano", "small", "sd35-medium"]


class ModelConfig(BaseModel):
    """Everything that `MiMDiT` is built from. Field names follow diffusers' `SD3Transformer2DModel` where they overlap.

    `codec_channels` chooses the edge codec (widths at 1, 1/2, 1/4 and 1/8 of the resolution); without it `vae` holds
    the config of a diffusers `AutoencoderKL`. `prompt_tokens` above 0 means that the backbone's second stream carries a
    stored empty prompt (SD3's own meaning); at 0 it carries the tokens of the whole photo.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # backbone: diffusers SD3Transformer2DModel
    sample_size: int = Field(default=32, description="latent side that the sinusoidal positions are scaled for")
    patch_size: int = 2
    latent_channels: int = 64
    num_layers: int = 2
    attention_head_dim: int = 32
    num_attention_heads: int = 5
    joint_attention_dim: int = 2 * 3 * PHOTO_PATCH**2
    pooled_projection_dim: int = 16
    pos_embed_max_size: int = 96
    dual_attention_layers: tuple[int, ...] = ()
    qk_norm: Literal["rms_norm"] | None = "rms_norm"
    positions: bool = Field(
        default=False, description="absolute positions; off at edge sizes: a tile must not know where it lies"
    )
    prompt_tokens: int = 0
    shift: float = Field(default=3.0, gt=0, description="timestep shift of the rectified flow, SD3's")
    prediction: Literal["residual", "velocity"] = Field(
        default="residual",
        description="what the network's output is: SD3's velocity, or, where a token is narrower than the noise of its "
        "patch and so could not carry it, the clean latent minus the degraded one, from which the velocity follows",
    )

    # MiM branch
    branch_channels: int = 96
    branch_blocks: int = 3
    expert_channels: int = Field(default=64, description="hidden width of the convolutional sub-experts")
    experts: int = Field(default=3, description="sub-experts in each of the four groups")
    top_k: int = Field(default=1, description="sub-experts that Intra-MoE runs for one photo")

    plan: RoutingPlan | None = Field(
        default=None, description="frozen routing: only its sub-experts exist; None is dynamic"
    )

    # codec
    codec_channels: tuple[int, int, int, int] | None = (16, 32, 64, 96)
    decoder_depths: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        default=(1, 2, 1), description="residual blocks of the edge codec's decoder at 1, 1/2 and 1/4"
    )
    vae: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "ModelConfig":
        if (self.codec_channels is None) == (self.vae is None):
            raise ValueError("exactly one of codec_channels (edge codec) and vae (AutoencoderKL config) must be set")
        if not 1 <= self.top_k <= self.experts:
            raise ValueError(f"top_k is {self.top_k}, but each group has {self.experts} sub-experts")
        if self.plan is not None and len(self.plan.blocks) != self.branch_blocks:
            raise ValueError(f"the plan has {len(self.plan.blocks)} MiM blocks, the model {self.branch_blocks}")
        if not self.prompt_tokens and self.joint_attention_dim != 2 * 3 * PHOTO_PATCH**2:
            raise ValueError("without a prompt the second stream carries photo tokens of 384 values")
        return self

    @property
    def inner_dim(self) -> int:
        """Width of the backbone."""
        return self.num_attention_heads * self.attention_head_dim


_SD3_VAE: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "latent_channels": 16,
    "norm_num_groups": 32,
    "sample_size": 1024,
    "scaling_factor": 1.5305,
    "shift_factor": 0.0609,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}

PRESETS: dict[Preset, ModelConfig] = {
    "nano": ModelConfig(
        latent_channels=16,
        num_layers=2,
        num_attention_heads=2,
        branch_channels=32,
        branch_blocks=2,
        expert_channels=16,
        codec_channels=(8, 16, 32, 48),
    ),
    "small": ModelConfig(),
    # Backbone as published for SD3.5-Medium (paper.md 1.2); the branch's width is ours, the paper's is not known.
    "sd35-medium": ModelConfig(
        sample_size=128,
        latent_channels=16,
        num_layers=24,
        attention_head_dim=64,
        num_attention_heads=24,
        joint_attention_dim=4096,
        pooled_projection_dim=2048,
        pos_embed_max_size=384,
        dual_attention_layers=tuple(range(13)),
        positions=True,
        prompt_tokens=333,
        prediction="velocity",
        branch_channels=640,
        branch_blocks=6,
        expert_channels=320,
        codec_channels=None,
        vae=_SD3_VAE,
    ),
}


def preset(name: str) -> ModelConfig:
    """The preset of that name; raises CheckpointError naming the known ones."""
    try:
        return PRESETS[name]  # pyright: ignore[reportArgumentType]
    except KeyError:
        raise CheckpointError(f"no preset '{name}': choose one of {', '.join(PRESETS)}") from None
