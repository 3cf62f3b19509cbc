"""The whole network. `MiMDiT.forward` is the one to read first: photo tile in, restored tile out."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    ConfigMixin,
    FlowMatchEulerDiscreteScheduler,
    ModelMixin,
    SD3Transformer2DModel,
)
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from mimdit.config import ModelConfig
from mimdit.errors import CheckpointError
from mimdit.model.branch import MiMBranch, photo_tokens
from mimdit.model.codec import EdgeCodec, VaeCodec
from mimdit.model.moe import Routing
from mimdit.model.sampler import TRAIN_TIMESTEPS, seed_noise, sigma_schedule


@dataclass
class Guidance:
    """What the branch and the second stream hand to every sampling step."""

    degraded: Tensor  # f32[B,Z,h,w], the codec's latent of the degraded photo
    layers: list[Tensor]  # one f32[B,tokens,inner] per backbone layer
    output: Tensor  # f32[B,Z,h,w], added to the backbone's
    context: Tensor  # f32[B,n,joint]: photo tokens, or the stored empty prompt
    routings: list[Routing]  # one per MiM block; empty when the routing is frozen


class MiMDiT(ModelMixin, ConfigMixin):  # pyright: ignore[reportIncompatibleMethodOverride]
    """MiM-DiT: an SD3 / MM-DiT backbone on the codec's latent, guided by the MiM branch.

    Keyword arguments are the fields of `mimdit.config.ModelConfig`. Sides of a tile must be multiples of 64 px
    (codec 1/8, Swin windows of up to 8).
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        sample_size: int = 32,
        patch_size: int = 2,
        latent_channels: int = 64,
        num_layers: int = 2,
        attention_head_dim: int = 32,
        num_attention_heads: int = 5,
        joint_attention_dim: int = 384,
        pooled_projection_dim: int = 16,
        pos_embed_max_size: int = 96,
        dual_attention_layers: Sequence[int] = (),
        qk_norm: str | None = "rms_norm",
        positions: bool = False,
        prompt_tokens: int = 0,
        shift: float = 3.0,
        prediction: str = "residual",
        branch_channels: int = 96,
        branch_blocks: int = 3,
        expert_channels: int = 64,
        experts: int = 3,
        top_k: int = 1,
        plan: dict[str, Any] | None = None,
        codec_channels: Sequence[int] | None = (16, 32, 64, 96),
        decoder_depths: Sequence[int] = (1, 2, 1),
        vae: dict[str, Any] | None = None,
    ):
        super().__init__()
        names = ModelConfig.model_fields
        self.shape = shape = ModelConfig(**{name: self.config[name] for name in names})
        self.backbone = SD3Transformer2DModel(
            sample_size=shape.sample_size,
            patch_size=shape.patch_size,
            in_channels=shape.latent_channels,
            out_channels=shape.latent_channels,
            num_layers=shape.num_layers,
            attention_head_dim=shape.attention_head_dim,
            num_attention_heads=shape.num_attention_heads,
            joint_attention_dim=shape.joint_attention_dim,
            caption_projection_dim=shape.inner_dim,
            pooled_projection_dim=shape.pooled_projection_dim,
            pos_embed_max_size=shape.pos_embed_max_size,
            dual_attention_layers=shape.dual_attention_layers,
            qk_norm=shape.qk_norm,
        )
        if not shape.positions:  # not persistent: a checkpoint need not carry 3 MB of zeros
            zeros = torch.zeros_like(self.backbone.pos_embed.pos_embed)  # pyright: ignore
            self.backbone.pos_embed.register_buffer("pos_embed", zeros, persistent=False)
        if shape.prediction == "residual":  # an untrained network gives the photo back
            nn.init.zeros_(self.backbone.proj_out.weight)
            nn.init.zeros_(self.backbone.proj_out.bias)
        self.branch = MiMBranch(shape)
        if shape.codec_channels is not None:
            self.codec = EdgeCodec(shape.codec_channels, shape.latent_channels, shape.decoder_depths)
        else:
            self.codec = VaeCodec(AutoencoderKL.from_config(shape.vae))  # pyright: ignore[reportArgumentType]
        # The empty prompt of SD3, stored in the checkpoint: no text encoder is needed at run time.
        self.register_buffer("prompt", torch.zeros(1, shape.prompt_tokens, shape.joint_attention_dim))
        self.register_buffer("pooled_prompt", torch.zeros(1, shape.pooled_projection_dim))

    def forward(self, image: Tensor, photo: Tensor, noise: Tensor | None = None, steps: int = 1) -> Tensor:
        """Restore a tile: image f32[B,3,H,W] and photo f32[B,3,64,64], both 0..1 → f32[B,3,H,W] in 0..1.

        `noise` f32[1 or B,Z,H/8,W/8] defaults to the constant seed noise; `steps` are Euler steps of the flow.
        """
        degraded, skips = self.codec.encode(image)  # [B,Z,h,w]
        guidance = self.guide(image, degraded, photo)
        restored = self.sample(guidance, noise, steps)
        return self.codec.decode(restored, degraded, image, skips).clamp(0, 1)

    def guide(self, image: Tensor, degraded: Tensor, photo: Tensor, forced: Tensor | None = None) -> Guidance:
        """Run the MiM branch once for all steps. Only routers see pixels. `forced`: see `MiMBranch.forward`."""
        tokens = photo_tokens(photo)  # [B,64,384]
        layers, output, routings = self.branch(image, photo, degraded, tokens, forced)
        context = self.prompt.expand(len(photo), -1, -1) if self.shape.prompt_tokens else tokens  # pyright: ignore
        return Guidance(degraded, layers, output, context, routings)

    def sample(self, guidance: Guidance, noise: Tensor | None = None, steps: int = 1) -> Tensor:
        """Euler steps from noise (σ = 1) to the restored latent (σ = 0), f32[B,Z,h,w]."""
        b, z, h, w = guidance.output.shape
        latent = seed_noise(z, h, w).to(guidance.output) if noise is None else noise
        latent = latent.expand(b, -1, -1, -1)
        sigmas = sigma_schedule(steps, self.shape.shift)
        for sigma, following in itertools.pairwise(sigmas):
            at = torch.full((b,), sigma, device=latent.device, dtype=latent.dtype)
            latent = latent + (following - sigma) * self.velocity(latent, at, guidance)
        return latent

    def velocity(self, latent: Tensor, sigma: Tensor, guidance: Guidance) -> Tensor:
        """The flow's velocity at a noisy latent f32[B,Z,h,w] and noise levels f32[B]: diffusers' blocks, guided."""
        net, p = self.backbone, self.shape.patch_size
        b, z, h, w = latent.shape
        x = net.pos_embed(latent).contiguous()  # [B,tokens,inner]
        time = net.time_text_embed(sigma * TRAIN_TIMESTEPS, self.pooled_prompt.expand(b, -1).to(x.dtype))  # pyright: ignore
        context = net.context_embedder(guidance.context.to(x.dtype))  # [B,n,inner]
        for block, guide in zip(net.transformer_blocks, guidance.layers, strict=True):
            context, x = block(hidden_states=x + guide, encoder_hidden_states=context, temb=time)
        x = net.proj_out(net.norm_out(x, time))  # [B,tokens,p·p·Z]
        x = x.reshape(b, h // p, w // p, p, p, z).permute(0, 5, 1, 3, 2, 4).reshape(b, z, h, w)
        x = x + guidance.output
        if self.shape.prediction == "velocity":
            return x
        clean = guidance.degraded + x
        return (latent - clean) / sigma[:, None, None, None]

    @classmethod
    def from_preset(cls, config: ModelConfig) -> "MiMDiT":
        """A freshly initialised model of that shape."""
        return cls(**config.model_dump(mode="json"))

    @classmethod
    def from_sd3(cls, folder: Path, *, prompt: Tensor, pooled_prompt: Tensor, **branch: Any) -> "MiMDiT":
        """A diffusers SD3 / SD3.5 folder (`transformer/`, `vae/`, `scheduler/`) with an untrained branch around it.

        `prompt` f32[1,n,joint] and `pooled_prompt` f32[1,pooled] are the empty prompt's embeddings, recorded once with
        the checkpoint's text encoders; `branch` sets the MiM fields of `ModelConfig`. Raises CheckpointError for a
        folder that is not of this format.
        """
        try:
            backbone = SD3Transformer2DModel.from_pretrained(folder, subfolder="transformer")
            vae = AutoencoderKL.from_pretrained(folder, subfolder="vae")
            scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(folder, subfolder="scheduler")
        except OSError as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"no diffusers SD3 checkpoint in {folder}: {reason}") from None
        shared = {name: backbone.config[name] for name in ModelConfig.model_fields if name in backbone.config}
        vae_config = {k: v for k, v in vae.config.items() if not k.startswith("_")}
        config = ModelConfig(
            **{**shared, "dual_attention_layers": tuple(shared["dual_attention_layers"])},
            latent_channels=backbone.config["in_channels"],
            positions=True,
            prompt_tokens=prompt.shape[1],
            prediction="velocity",
            shift=scheduler.config["shift"],  # pyright: ignore[reportAttributeAccessIssue]
            codec_channels=None,
            vae=vae_config,
            **branch,
        )
        model = cls.from_preset(config)
        model.backbone.load_state_dict(backbone.state_dict())
        assert isinstance(model.codec, VaeCodec)
        model.codec.vae.load_state_dict(vae.state_dict())
        model.prompt.copy_(prompt)  # pyright: ignore[reportCallIssue]
        model.pooled_prompt.copy_(pooled_prompt)  # pyright: ignore[reportCallIssue]
        return model


def parameter_groups(model: MiMDiT) -> dict[str, list[nn.Parameter]]:
    """Parameters by part: codec, gates (fine-tuned per variant), backbone, branch, experts (fine-tuned per variant)."""
    groups: dict[str, list[nn.Parameter]] = {"codec": [], "gates": [], "backbone": [], "branch": [], "experts": []}
    for name, parameter in model.named_parameters():
        part = name.split(".")[0]
        if ".gates." in name:
            part = "gates"
        elif ".groups." in name or ".experts." in name:
            part = "experts"
        groups[part].append(parameter)
    return groups
