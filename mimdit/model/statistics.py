"""What betrays a degradation, in numbers that need no training: the eyes of dispatcher and routers.

Noise, blur and JPEG blocks are told by how neighbouring pixels differ; haze and darkness by the levels of the whole
photo. A network of five times the arithmetic that had to find such numbers itself, from 5,000 examples, recognised 18 %
of JPEGs where these recognise 85 % (2 % of clean photos called JPEGs; validation photos).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mimdit.model.lines import line_statistics
from mimdit.views import CROPS

EPS = 1e-3  # on 0..1, a quarter of a level: keeps logarithms and ratios on flat photos finite, and steady
_SCALES = (1, 2, 4)  # px of the means that differences are taken between: blur and noise differ in what they leave
_LAGS = (1, 2, 3)  # px between differences that are correlated: noise −½ at 1, blur near +1
_BLOCK = 8  # px, of JPEG
_LEVEL = 255.0
_RANKS = (40, 400, 2048, 3600, 4056)  # of the 4096 places of the view: about 1, 10, 50, 88 and 99 %
_REACH = 7  # places: the dark channel of He et al. looks for the darkest one so near


def statistics(photo: Tensor, crops: Tensor, count: int = CROPS) -> Tensor:
    """photo f32[B,3,64,64] and its `count` crops each f32[B·count,3,64,64], sRGB-encoded, 0..1 → f32[B,COUNT].

    The first LIGHT of them say how the whole photo is lit, the rest what its pixels are like where that shows most.
    """
    of_crops = _crop_statistics(crops).unflatten(0, (-1, count))  # [B,count,F]
    lines = line_statistics(_luma(crops)).unflatten(0, (-1, count))  # [B,count,L]
    # Which crop says most differs: noise shows in the flattest, blur in the sharpest, and rain falls in all of them.
    extremes = [of_crops.amax(1), of_crops.amin(1), lines.mean(1), lines.amax(1), lines.amin(1)]
    return torch.cat([_view_statistics(photo), of_crops.mean(1), *extremes], 1)


def in_units(found: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    """Statistics f32[B,COUNT] → the same in units of their spread, cut at five: an odd photo stays an odd photo."""
    return ((found - mean) / spread).clamp(-5, 5)


def _crop_statistics(crops: Tensor) -> Tensor:
    """[N,3,64,64] → [N,F]: of luma and two colour differences, at three scales and in both directions."""
    luma = _luma(crops)
    planes = torch.cat([luma, crops[:, :1] - luma, crops[:, 2:] - luma], 1)  # [N,3,64,64]
    found: list[Tensor] = []
    for scale in _SCALES:
        x = planes if scale == 1 else F.avg_pool2d(planes, scale)
        found.append(torch.log(_grain(x) + EPS))
        for axis in (2, 3):
            step = x.diff(dim=axis)
            power = step.square().mean((2, 3)) + EPS**2
            found.append(0.5 * torch.log(power))
            found += [_correlation(step[:, :1], axis, lag, power[:, :1]) for lag in _LAGS]
            if scale == 1:
                found += _blocks(step[:, :1].abs(), axis)
                # Coarse quantisation leaves many neighbours equal.
                flat = (1 - step.abs() * _LEVEL).relu().mean((2, 3))  # [N,3]
                found += [flat[:, :1], flat[:, 1:]]
    spread = (luma - luma.mean((2, 3), keepdim=True)).square().mean((2, 3)).sqrt()
    return torch.cat([*found, luma.mean((2, 3)), torch.log(spread + EPS)], 1)


def _grain(x: Tensor) -> Tensor:
    """[N,3,h,w] → [N,3]: mean response to Immerkær's noise kernel, blind to edges and ramps."""
    kernel = x.new_tensor([[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]])[None, None] / 6
    return F.conv2d(x.flatten(0, 1)[:, None], kernel)[:, 0].abs().unflatten(0, (-1, x.shape[1])).mean((2, 3))


def _correlation(step: Tensor, axis: int, lag: int, power: Tensor) -> Tensor:
    """[N,1]: of differences with those `lag` px further on, −1..1."""
    count = step.shape[axis] - lag
    return (step.narrow(axis, 0, count) * step.narrow(axis, lag, count)).mean((2, 3)) / power


def _blocks(size: Tensor, axis: int) -> list[Tensor]:
    """Two [N,1]: how far the differences across JPEG's block borders, and at any one phase of 8, exceed the mean."""
    along = F.pad(size.mean(5 - axis)[:, 0], (0, 1))  # [N,64]; 63 differences
    counts = along.new_tensor([_BLOCK] * (_BLOCK - 1) + [_BLOCK - 1])
    phases = along.unflatten(1, (-1, _BLOCK)).sum(1) / counts + EPS  # [N,8]
    excess = torch.log(phases / phases.mean(1, keepdim=True))
    return [excess[:, _BLOCK - 1 :], excess.amax(1, keepdim=True)]


def _view_statistics(photo: Tensor) -> Tensor:
    """[B,3,64,64] → [B,V]: levels of darkest and brightest colour, of luma, dark channel and colourfulness."""
    darkest, brightest, luma = photo.amin(1, keepdim=True), photo.amax(1, keepdim=True), _luma(photo)
    dark_channel = -F.max_pool2d(-darkest, _REACH, 1, _REACH // 2)
    found: list[Tensor] = []
    for plane in (darkest, brightest, luma, dark_channel, brightest - darkest):
        values = plane.flatten(1)  # [B,4096]
        mean = values.mean(1, keepdim=True)
        ranked = values.sort(1).values
        found += [mean, (values - mean).square().mean(1, keepdim=True).sqrt()]
        found += [ranked[:, rank : rank + 1] for rank in _RANKS]
    contrast = [torch.log(luma.diff(dim=axis).abs().mean((2, 3)) + EPS) for axis in (2, 3)]
    return torch.cat([*found, *contrast, photo.mean((2, 3)), torch.log(luma.mean((2, 3)) + EPS)], 1)


def _luma(x: Tensor) -> Tensor:
    """[N,3,h,w] → [N,1,h,w], Rec. 601 as JPEG uses it."""
    return (x * x.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)


_EMPTY = torch.zeros(1, 3, 64, 64), torch.zeros(CROPS, 3, 64, 64)
COUNT = statistics(*_EMPTY).shape[1]
LIGHT = _view_statistics(_EMPTY[0]).shape[1] + _crop_statistics(_EMPTY[1]).shape[1]
