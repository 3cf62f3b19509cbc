"""How far one photo is from another: PSNR, SSIM and the largest error, in numpy alone.

Photos are arrays of one shape with values 0..1, encoded as in a file, [H,W] or [H,W,3]. Shapes that differ raise
PhotoError.
"""

import math

import numpy as np

from mimdit.errors import PhotoError

# Above this PSNR (error of 3.2 levels) nobody sees a difference for sure.
FAINT_DB = 38.0
_SSIM_WINDOW = 11  # pixels; a Gaussian of sigma 1.5, as Wang et al. 2004 define it
_SSIM_SIGMA = 1.5
_SSIM_C1 = 0.01**2  # these two keep the ratios finite where a window is black or flat
_SSIM_C2 = 0.03**2


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB for a peak of 1; infinite for equal photos."""
    error = float(np.mean(np.square(_difference(a, b))))
    return -10 * math.log10(error) if error else math.inf


def max_error(a: np.ndarray, b: np.ndarray) -> float:
    """The largest absolute difference of any value, 0..1."""
    return float(np.abs(_difference(a, b)).max())


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity, −1..1, the mean over channels and over all windows that lie inside the photo.

    Raises PhotoError for photos smaller than the window of 11×11.
    """
    _difference(a, b)
    if min(a.shape[:2]) < _SSIM_WINDOW:
        raise PhotoError(
            f"SSIM needs photos of at least 11×11 pixels, found {a.shape[1]}×{a.shape[0]}: use PSNR for these"
        )
    a, b = a.astype(np.float64), b.astype(np.float64)
    mean_a, mean_b = _window_mean(a), _window_mean(b)
    variances = _window_mean(a * a + b * b) - mean_a**2 - mean_b**2
    covariance = _window_mean(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _SSIM_C1) / (mean_a**2 + mean_b**2 + _SSIM_C1)
    return float(np.mean(luminance * (2 * covariance + _SSIM_C2) / (variances + _SSIM_C2)))


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.shape != b.shape:
        raise PhotoError(f"expected two photos of one shape, found {a.shape} and {b.shape}: resize or crop one first")
    return a.astype(np.float64) - b


def _window_mean(values: np.ndarray) -> np.ndarray:
    """f64[H,W,...] → its Gaussian mean in every window inside, f64[H−10,W−10,...]: columns first, then rows."""
    weights = np.exp(-0.5 * ((np.arange(_SSIM_WINDOW) - _SSIM_WINDOW // 2) / _SSIM_SIGMA) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        windows = np.lib.stride_tricks.sliding_window_view(values, _SSIM_WINDOW, axis)
        values = windows @ weights
    return values
