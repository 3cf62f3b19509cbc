"""How near a photo is to its truth, by PSNR, SSIM and FLIP; and whether it is as sharp."""

from functools import cache
from importlib.util import find_spec

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mimdit.metrics import psnr, ssim
from mimdit.pixels import to_unit

__all__ = ["EQUAL_PSNR", "Quality", "decibels", "gradient_ratio", "quality"]

EQUAL_PSNR = 100.0  # dB that stand for equal photos; one level off in one value of a 320×480 photo is 105 dB
_FLAT = 1e-6  # mean gradient of a truth that has no detail
_SSIM_WINDOW = 11  # px, the smallest side that SSIM is defined for


class Quality(BaseModel):
    """One photo against its truth; null is unknown: no truth, too small a photo, a package that is not installed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    psnr: float | None = Field(default=None, description=f"dB over RGB, at most {EQUAL_PSNR:g}, which means equal")
    ssim: float | None = Field(default=None, description="−1..1, mean over RGB, 11×11 Gaussian windows")
    flip: float | None = Field(default=None, description="0..1, smaller is better; mean LDR-FLIP at 67 pixels a degree")
    sharpness: float | None = Field(
        default=None, description="mean size of its gradient over the truth's; below 1 is softer, above 1 is noisier"
    )


def quality(photo: np.ndarray, truth: np.ndarray) -> Quality:
    """Two u8[H,W,3] of one shape; raises PhotoError for two shapes."""
    a, b = to_unit(photo), to_unit(truth)
    return Quality(
        psnr=decibels(photo, truth),
        ssim=round(ssim(a, b), 5) if min(a.shape[:2]) >= _SSIM_WINDOW else None,
        flip=_flip(a, b),
        sharpness=gradient_ratio(a, b),
    )


def decibels(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR of two u8[H,W,3], at most 100, which means equal."""
    return round(min(psnr(to_unit(a), to_unit(b)), EQUAL_PSNR), 4)


def gradient_ratio(photo: np.ndarray, truth: np.ndarray) -> float | None:
    """Mean size of the gradient of two f32[H,W,3] in 0..1, the first over the second; None where that has none."""
    if min(truth.shape[:2]) < 2:
        return None

    def mean_gradient(pixels: np.ndarray) -> float:
        down, right = np.gradient(pixels, axis=(0, 1))
        return float(np.hypot(down, right).mean())

    wanted = mean_gradient(truth)
    return round(mean_gradient(photo) / wanted, 4) if wanted > _FLAT else None


def _flip(photo: np.ndarray, truth: np.ndarray) -> float | None:
    """Andersson et al. 2020, by the authors' own package: about 0.15 s of one core for 320×480."""
    if not _has_flip():
        return None
    from flip_evaluator import evaluate

    _, mean, _ = evaluate(np.ascontiguousarray(truth), np.ascontiguousarray(photo), "LDR", applyMagma=False)
    return round(float(mean), 5)


@cache
def _has_flip() -> bool:
    return find_spec("flip_evaluator") is not None
