"""What all routers of a branch decide from: the tile's native pixels, before any expert touched it, and the photo.

Noise, blur, blocks and streaks live in native pixels; haze and darkness in the whole photo. Two other inputs failed. A
block's own input tells later routers, while experts are prescribed, which ones were: they learn to read the
prescription instead of the photo and are lost without it. The latent of a frozen codec keeps too little of blur and
blocks. It costs nothing on a device: routers are not in a frozen variant.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (16, 24, 40, 40)
FEATURES = 3 * WIDTHS[-1]
FINE_GAIN = 8.0  # what the 3×3 mean leaves over is a tenth of the colours' size


class RoutingView(nn.Module):
    """Tile f32[B,3,T,T] in 0..1 → f32[B,FEATURES]: mean, largest and smallest of every feature over the tile."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = strided(9, WIDTHS)

    def forward(self, image: Tensor) -> Tensor:
        return summary(self.layers(with_fine(image)).flatten(2))


def with_fine(image: Tensor) -> Tensor:
    """f32[B,3,H,W] → f32[B,9,H,W]: colours, and what their 3×3 mean leaves over, signed and unsigned."""
    fine = (image - F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, stride=1)) * FINE_GAIN
    return torch.cat([image, fine, fine.abs()], 1)


def strided(channels: int, widths: tuple[int, ...]) -> nn.Sequential:
    """3×3 convolutions of stride 2: place k of the third sees the JPEG block k, always at the same phase."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.LeakyReLU(0.1)]
        channels = width
    return nn.Sequential(*layers)


def summary(features: Tensor) -> Tensor:
    """[B,C,N] → [B,3C]: mean, largest and smallest over the places."""
    return torch.cat([features.mean(2), features.amax(2), features.amin(2)], 1)
