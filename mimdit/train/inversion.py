"""Which latent would have decoded to the truth?

A codec that was trained together with a student no longer decodes a photo's own encoding to that photo: beside the
degraded photo's skips its decoder wants other latents, the student's. What a flow is to learn are then those that
decode to the truth, found by descent from the student's, as generative networks are inverted (1609.03552, section 3).
"""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["inverted"]

_PROBE = 0.05  # root mean square of the step along which the decoder is tried; far above what bf16 rounds off


def inverted(decode: Callable[[Tensor], Tensor], latent: Tensor, truth: Tensor, steps: int) -> Tensor:
    """f32[B,Z,h,w] → the same after `steps` of steepest descent on the squared error of what it decodes to.

    `decode` makes f32[B,3,H,W] of it, `truth` is f32[B,3,H,W] in 0..1. How far a step goes is what would be best if
    the decoder were linear along it, of each tile alone.
    """
    with torch.enable_grad():
        latent = latent.detach().float()
        for _ in range(steps):
            latent.requires_grad_()
            decoded = decode(latent)
            missing = truth - decoded
            (slope,) = torch.autograd.grad(missing.square().sum(), latent)
            with torch.no_grad():
                probe = -_PROBE * slope / _mean_square(slope).sqrt().clamp(min=1e-12)
                change = decode(latent + probe) - decoded
                ahead = (missing * change).mean((1, 2, 3), keepdim=True)
                latent = latent + probe * ahead / _mean_square(change).clamp(min=1e-12)
    return latent.detach()


def _mean_square(x: Tensor) -> Tensor:
    return x.square().mean((1, 2, 3), keepdim=True)
