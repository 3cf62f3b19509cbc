"""Sixty photos as many: cut, scaled, turned and recoloured at random, before they are degraded.

Cut and mirrored alone they were learned by heart, their colours first (docs/rounds.md, measured by
`mimdit.benchmarks.overfit`).
"""

import numpy as np
from PIL import Image
from scipy.ndimage import uniform_filter

_WARPED = 0.75  # share of crops that are turned, stretched, slanted and reduced
_ANGLE = 0.25  # radians; standard deviation of the turn
_STRETCH = 0.25  # width over height, natural logarithm at most
_SLANT = 0.2  # px sideways a px, at most
_REDUCED = (1.4, 3.0)  # photo's pixels across one of a warped crop: no photo is sharp when it is enlarged
_RESCALED = 0.6  # share of other crops that are taken larger and reduced,
_LARGER = 1.7  # by a factor of up to this
# Most hues are turned a little only: of the sky's blue and the leaves' green a network may know.
_RECOLOURED = 0.6  # share of crops of other colours: more or less saturated,
_SATURATION = (0.5, 1.5)
_TURN = 0.35  # with hues turned by this standard deviation in radians,
_ANY_HUE = 0.2  # and this share of them by any angle
_GREY = 0.1  # share of black-and-white photos
_DEEP = 0.1  # share of photos with deep shadows, up to those of values that no tone curve has lifted
_DETAIL = 15  # px; side of the window that tells detail from what it lies on
_STRENGTH = (0.5, 1.5)  # of detail that is laid on another photo
_GRAIN = 5  # px; side of the window that tells grain from detail

# Full-range Y, Cb, Cr of R, G, B (JFIF), the colours that JPEG stores.
TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_TO_RGB = np.linalg.inv(TO_YCC)


def draw_crop(photo: np.ndarray, side: int, rng: np.random.Generator, *, varied: bool = True) -> np.ndarray:
    """u8[H,W,3] of at least `side` px → f32[side,side,3] in 0..1: a piece of it, or of something like it.

    Unless `varied`, hues and shapes are the photo's own, but for what is mirrored, turned, without colour or darkened.
    """
    warped = warp(photo, side, rng) if varied and rng.random() < _WARPED else None
    crop = _cut(photo, side, rng) if warped is None else warped
    crop = np.rot90(crop, int(rng.integers(4)) if rng.random() < 0.3 else 0)  # mostly upright: haze knows up
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    if rng.random() < _GREY:
        crop = np.repeat(crop.mean(axis=2, keepdims=True), 3, axis=2)
    crop = np.ascontiguousarray(crop).astype(np.float32) / 255
    if varied and rng.random() < _RECOLOURED:
        crop = draw_recoloured(crop, _SATURATION, rng)
    return crop ** np.float32(rng.uniform(1, 2.2)) if rng.random() < _DEEP else crop


def _cut(photo: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    taken = side
    if rng.random() < _RESCALED:
        taken = min(round(side * float(np.exp(rng.uniform(0, np.log(_LARGER))))), *photo.shape[:2])
    top, left = (int(rng.integers(0, size - taken + 1)) for size in photo.shape[:2])
    crop = photo[top : top + taken, left : left + taken]
    if taken > side:
        crop = np.asarray(Image.fromarray(crop).resize((side, side), Image.Resampling.LANCZOS))
    return crop


def warp(photo: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray | None:
    """A turned, stretched, slanted and reduced piece; None of a photo that is too small for one."""
    angle, stretch = rng.normal(0, _ANGLE), np.exp(rng.uniform(-_STRETCH, _STRETCH) / 2)
    slant = rng.uniform(-_SLANT, _SLANT)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shape = turn @ np.array([[stretch, slant], [0, 1 / stretch]])  # crop's x, y from its middle → photo's
    half = np.abs(shape).sum(1) * side / 2
    size = np.array(photo.shape[1::-1])
    largest = float((size / 2 / half).min())
    if largest < _REDUCED[0]:
        return None
    reduced = np.exp(rng.uniform(*np.log([_REDUCED[0], min(_REDUCED[1], largest)])))
    middle = rng.uniform(half * reduced, size - half * reduced)
    fine = side * 3 // 2  # then reduced, so that nothing finer than its pixels is left
    step = shape * reduced * side / fine
    left, top = middle - step @ [fine / 2, fine / 2]
    (a, b), (d, e) = step
    crop = Image.fromarray(photo).transform(
        (fine, fine), Image.Transform.AFFINE, (a, b, left, d, e, top), Image.Resampling.BILINEAR
    )
    return np.asarray(crop.resize((side, side), Image.Resampling.LANCZOS))


def join(photo: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two f32[H,W,3] in 0..1 → the first with the other's detail on it, stronger or weaker, cut to 0..1.

    Few photos are rich in detail; so more are.
    """
    detail = other - uniform_filter(other, _DETAIL, axes=(0, 1))
    return np.clip(photo + np.float32(rng.uniform(*_STRENGTH)) * detail, 0, 1)


def draw_recoloured(photo: np.ndarray, saturation: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """f32[H,W,3] in 0..1 → in other hues, and more or less saturated within a range of factors."""
    angle = rng.uniform(-np.pi, np.pi) if rng.random() < _ANY_HUE else rng.normal(0, _TURN)
    return recolour(photo, angle, rng.uniform(*saturation))


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
