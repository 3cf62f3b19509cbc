"""Sixty photos as many: cut, scaled, turned and recoloured at random, before they are degraded.

Cut and mirrored alone they were learned by heart, their colours first (docs/training.md, measured by
`mimdit.benchmarks.overfit`).
"""

import numpy as np
from PIL import Image
from scipy.ndimage import uniform_filter

_RESCALED = 0.6  # share of crops that are taken larger and reduced,
_LARGER = 1.7  # by a factor of up to this
# Most hues are turned a little only: of the sky's blue and the leaves' green a network may know.
_RECOLOURED = 0.6  # share of crops of other colours: more or less saturated,
_SATURATION = (0.5, 1.5)
_TURN = 0.35  # with hues turned by this standard deviation in radians,
_ANY_HUE = 0.2  # and this share of them by any angle
_GREY = 0.1  # share of black-and-white photos
_DEEP = 0.1  # share of photos with deep shadows, up to those of values that no tone curve has lifted
_GRAIN = 5  # px; side of the window that tells grain from detail

# Full-range Y, Cb, Cr of R, G, B (JFIF), the colours that JPEG stores.
TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_TO_RGB = np.linalg.inv(TO_YCC)


def draw_crop(photo: np.ndarray, side: int, rng: np.random.Generator, *, recoloured: bool = True) -> np.ndarray:
    """u8[H,W,3] of at least `side` px → f32[side,side,3] in 0..1: a piece of it, or of something like it.

    Without `recoloured` all hues are the photo's own.
    """
    taken = side
    if rng.random() < _RESCALED:
        taken = min(round(side * float(np.exp(rng.uniform(0, np.log(_LARGER))))), *photo.shape[:2])
    top, left = (int(rng.integers(0, size - taken + 1)) for size in photo.shape[:2])
    crop = photo[top : top + taken, left : left + taken]
    if taken > side:
        crop = np.asarray(Image.fromarray(crop).resize((side, side), Image.Resampling.LANCZOS))
    crop = np.rot90(crop, int(rng.integers(4)) if rng.random() < 0.3 else 0)  # mostly upright: haze knows up
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    if rng.random() < _GREY:
        crop = np.repeat(crop.mean(axis=2, keepdims=True), 3, axis=2)
    crop = np.ascontiguousarray(crop).astype(np.float32) / 255
    if recoloured and rng.random() < _RECOLOURED:
        angle = rng.uniform(-np.pi, np.pi) if rng.random() < _ANY_HUE else rng.normal(0, _TURN)
        crop = recolour(crop, angle, rng.uniform(*_SATURATION))
    return crop ** np.float32(rng.uniform(1, 2.2)) if rng.random() < _DEEP else crop


def recolour(photo: np.ndarray, angle: float, saturation: float) -> np.ndarray:
    """f32[H,W,3] in 0..1 → hues turned by `angle` (radians) and made stronger by `saturation`, then cut to 0..1.

    Luma stays, but for what is cut.
    """
    cos, sin = saturation * np.cos(angle), saturation * np.sin(angle)
    turned = _TO_RGB @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ TO_YCC
    return np.clip(photo @ turned.T.astype(np.float32), 0, 1)


def smooth_grain(photo: np.ndarray, level: float) -> np.ndarray:
    """f32[H,W,3] in 0..1 → without what varies by less than `level` (standard deviation, 0..1) around a pixel.

    The local Wiener filter (Lim 1990; `scipy.signal.wiener` is the same, slower). What varies more stays, nearly whole.
    """
    mean = uniform_filter(photo, _GRAIN, axes=(0, 1))
    variance = np.maximum(uniform_filter(photo * photo, _GRAIN, axes=(0, 1)) - mean * mean, np.float32(1e-9))
    return mean + np.maximum(1 - np.float32(level * level) / variance, 0) * (photo - mean)
