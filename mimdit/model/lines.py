"""How much a crop is made of lines, and which way they run: what rain is known by.

To differences of neighbours a streak is no more than a blade of grass (docs/architecture.md has the figures).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_DIRECTIONS = 8  # over half a turn; the first is upright
_REACH = 6  # px: half the filter's side
_ACROSS = 0.8  # px: standard deviation across the line, of the Gaussian whose second derivative the filter is,
_ALONG = 3.5  # px: and along it
_SCALES = (1, 2)  # px of the means that are looked at: near drops are wider
_EPS = 1e-6  # on 0..1 squared: keeps ratios finite, and steady, on flat crops


def line_statistics(luma: Tensor) -> Tensor:
    """f32[N,1,64,64] in 0..1 → f32[N,50]. Of each scale: the logarithm of all directions' power; how far each
    direction's exceeds it; whether its lines are bright or dark; and how rare and strong they are."""
    found: list[Tensor] = []
    for scale in _SCALES:
        response = F.conv2d(luma if scale == 1 else F.avg_pool2d(luma, scale), _FILTERS.to(luma))
        power = response.square()
        bright = response.relu().square().mean((2, 3))  # [N,8]
        dark = power.mean((2, 3)) - bright
        total = bright + dark + _EPS
        logarithms = torch.log(total)
        mean = logarithms.mean(1, keepdim=True)
        found += [mean, logarithms - mean, torch.log((bright + _EPS) / (dark.relu() + _EPS))]
        found.append(torch.log(power.square().mean((2, 3)) / total.square() + 0.1))
    return torch.cat(found, 1)


def _filters() -> Tensor:
    """f32[8,1,13,13]: answers a line of each direction, bright ones with more than 0; of mean 0 and power 1."""
    place = torch.arange(-_REACH, _REACH + 1, dtype=torch.float64)
    down, right = torch.meshgrid(place, place, indexing="ij")
    filters: list[Tensor] = []
    for i in range(_DIRECTIONS):
        angle = math.pi * i / _DIRECTIONS
        across = right * math.cos(angle) - down * math.sin(angle)
        along = right * math.sin(angle) + down * math.cos(angle)
        line = 1 - (across / _ACROSS).square()
        line = line * torch.exp(-0.5 * ((across / _ACROSS).square() + (along / _ALONG).square()))
        line = line - line.mean()
        filters.append(line / line.square().sum().sqrt())
    return torch.stack(filters)[:, None].float()


_FILTERS = _filters()
