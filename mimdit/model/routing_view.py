"""What all routers of a branch decide from: the dispatcher's statistics, of the tile and of the whole photo.

Noise, blur, blocks and streaks live in native pixels; haze and darkness in the whole photo. Three other inputs were
worse. A block's own input tells later routers, while experts are prescribed, which ones were: they learn to read the
prescription instead of the photo and are lost without it. The latent of a frozen codec keeps too little of blur and
blocks. A small network over the tile's pixels mistook a quarter of the photos, most of those with sensor noise
(docs/architecture.md). Statistics cost nothing on a device: routers are not in a frozen variant.
"""

import torch
from torch import Tensor, nn

from mimdit.model.statistics import COUNT, in_units, statistics
from mimdit.views import CROP


class RoutingView(nn.Module):
    """Tile f32[B,3,H,W], sides multiples of 64 px, and photo f32[B,3,64,64], both 0..1 → f32[B,COUNT] in −5..5."""

    def __init__(self) -> None:
        super().__init__()
        # Of the statistics of training's first examples; they are part of the weights.
        self.mean: Tensor
        self.spread: Tensor
        self.register_buffer("mean", torch.zeros(COUNT))
        self.register_buffer("spread", torch.ones(COUNT))

    @property
    def measured(self) -> bool:
        """Whether `measure` has been called, in this or in an earlier stage of training."""
        return not bool((self.spread == 1).all())

    def measure(self, images: Tensor, photos: Tensor) -> None:
        """Set the units that statistics are seen in, by examples shaped as in `forward`."""
        found = _statistics(images, photos)
        self.mean.copy_(found.mean(0))
        self.spread.copy_(found.std(0) + 1e-3)

    def forward(self, image: Tensor, photo: Tensor) -> Tensor:
        return in_units(_statistics(image, photo), self.mean.float(), self.spread.float())


@torch.no_grad()
def _statistics(image: Tensor, photo: Tensor) -> Tensor:
    crops = image.float().unfold(2, CROP, CROP).unfold(3, CROP, CROP)  # [B,3,y,x,64,64]
    crops = crops.permute(0, 2, 3, 1, 4, 5).flatten(1, 2)
    with torch.autocast(image.device.type, enabled=False):  # differences of neighbours need more than bf16's 8 bits
        return statistics(photo.float(), crops.flatten(0, 1), crops.shape[1])
