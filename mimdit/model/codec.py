"""Photo ↔ latent: the U-shaped edge codec, and diffusers' VAE behind the same two calls.

The edge codec is plain 3×3 convolutions with ReLU (no norm over a full-resolution map to overflow fp16). Its skips
carry the degraded photo's detail past the bottleneck, but only through gates that the *restored* latent sets, place by
place and channel by channel; and the latent sets a smooth gain and offset, because haze and darkness are
multiplications:

    restored = (photo + residual) · exp(gain) + offset
"""

import itertools

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

from mimdit.model.branch import log_form
from mimdit.model.moe import ChannelNorm

Pair = tuple[Tensor, Tensor]

MAX_GAIN = 3.0  # |gain| in nats: a factor of 20, more than the darkest photo that is worth restoring


class ResBlock(nn.Module):
    """x + conv(relu(conv(x))). No ReLU on the sum: behind one, whole levels went dead within a few hundred steps."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(x)))


class Encoder(nn.Module):
    """f32[B,3,H,W] in 0..1 → latent f32[B,Z,H/8,W/8] of unit variance per place, and skips at 1, 1/2 and 1/4."""

    def __init__(self, widths: tuple[int, int, int, int], latent: int):
        super().__init__()
        self.stem = nn.Conv2d(6, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList([ResBlock(w) for w in widths[:3]])
        self.downs = nn.ModuleList([nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in itertools.pairwise(widths)])
        self.latent = nn.Conv2d(widths[3], latent, 1)
        self.norm = ChannelNorm(latent, elementwise_affine=False)

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = self.stem(torch.cat([image, log_form(image)], 1))
        skips: list[Tensor] = []
        for block, down in zip(self.blocks, self.downs, strict=True):
            x = block(x)
            skips.append(x)
            x = down(x)
        return self.norm(self.latent(x)), skips


class Gates(nn.Module):
    """Latent → scale and shift for every skip, gain and offset for the photo; pairs. Fine-tuned per variant."""

    def __init__(self, widths: tuple[int, int, int, int], latent: int):
        super().__init__()
        self.trunk = nn.Conv2d(2 * latent, latent, 1)
        self.skips = nn.ModuleList([nn.Conv2d(latent, 2 * w, 1) for w in widths[:3]])
        self.light = nn.Conv2d(latent, 6, 1)
        for head in [*self.skips, self.light]:  # start as a plain U-net that returns its input
            nn.init.zeros_(head.weight)  # pyright: ignore[reportArgumentType]
            nn.init.zeros_(head.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, latent: Tensor, change: Tensor) -> tuple[list[Pair], Pair]:
        """`change` is restored minus degraded latent: where nothing was restored, little is to be done."""
        x = change + F.relu(self.trunk(torch.cat([latent, change], 1)))
        # Everything that can be done before enlarging is: it has fewer pixels there, a 64th at full resolution.
        skips: list[Pair] = []
        for level, head in enumerate(self.skips):
            scale, shift = head(x).chunk(2, 1)
            skips.append((_enlarge(1 + scale, 8 >> level), _enlarge(shift, 8 >> level)))
        gain, offset = self.light(x).float().chunk(2, 1)  # bf16 training: a factor needs more than 8 bits
        return skips, (_enlarge(gain, 8), _enlarge(offset, 8))


class Decoder(nn.Module):
    """Restored latent, degraded photo and its skips → restored photo f32[B,3,H,W] (not yet clamped)."""

    def __init__(self, widths: tuple[int, int, int, int], latent: int, depths: tuple[int, int, int]):
        super().__init__()
        self.stem = nn.Conv2d(2 * latent, widths[3], 1)
        self.ups = nn.ModuleList([nn.Conv2d(b, a, 1) for a, b in itertools.pairwise(widths)])
        self.blocks = nn.ModuleList(
            [nn.Sequential(*[ResBlock(w) for _ in range(n)]) for w, n in zip(widths, depths, strict=False)]
        )
        self.residual = nn.Conv2d(widths[0], 3, 3, padding=1)
        nn.init.zeros_(self.residual.weight)
        nn.init.zeros_(self.residual.bias)  # pyright: ignore[reportArgumentType]

    def forward(
        self, latent: Tensor, change: Tensor, image: Tensor, skips: list[Tensor], gates: list[Pair], light: Pair
    ) -> Tensor:
        x = self.stem(torch.cat([latent, change], 1))
        for level in (2, 1, 0):
            scale, shift = gates[level]
            x = F.interpolate(self.ups[level](x), scale_factor=2.0, mode="nearest")
            x = self.blocks[level](x + skips[level] * scale + shift)
        gain, offset = light
        gain = MAX_GAIN * torch.tanh(gain / MAX_GAIN)
        return (image + self.residual(x).float()) * torch.exp(gain) + offset


class EdgeCodec(nn.Module):
    """Encoder, gates and decoder of the edge sizes. Height and width must be multiples of 8."""

    def __init__(self, widths: tuple[int, int, int, int], latent: int, depths: tuple[int, int, int]):
        super().__init__()
        self.encoder = Encoder(widths, latent)
        self.gates = Gates(widths, latent)
        self.decoder = Decoder(widths, latent, depths)

    def encode(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self.encoder(image)

    def decode(self, latent: Tensor, degraded: Tensor, image: Tensor, skips: list[Tensor]) -> Tensor:
        """Restored and degraded latent, degraded photo and its skips → restored photo, not yet clamped."""
        latent = self.encoder.norm(latent)  # a restored latent too has unit variance at each place
        change = latent - degraded
        gates, light = self.gates(latent, change)
        return self.decoder(latent, change, image, skips, gates, light)


class VaeCodec(nn.Module):
    """A diffusers `AutoencoderKL` (SD3's) as codec: no skips; the latent is the mean, scaled as SD3 does."""

    def __init__(self, vae: AutoencoderKL):
        super().__init__()
        self.vae = vae
        self.scaling, self.shift = float(vae.config.scaling_factor), float(vae.config.shift_factor or 0.0)  # pyright: ignore

    def encode(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        mean = self.vae.encode(image * 2 - 1).latent_dist.mean  # pyright: ignore[reportAttributeAccessIssue]
        return (mean - self.shift) * self.scaling, []

    def decode(self, latent: Tensor, degraded: Tensor, image: Tensor, skips: list[Tensor]) -> Tensor:
        return self.vae.decode(latent / self.scaling + self.shift).sample / 2 + 0.5  # pyright: ignore


def _enlarge(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)
