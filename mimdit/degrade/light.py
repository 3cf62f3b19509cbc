"""Between what a file stores and the light that it stands for: sRGB ↔ linear, 8 bits, smooth random fields.

Photos are f32[H,W,3]; *encoded* means sRGB values 0..1 as in a file, *linear* means light 0..1 where 1 is the sensor's white.
"""

import numpy as np
from PIL import Image

Array = np.ndarray
Rgb = tuple[float, float, float]

# Tables, because these two run on every pixel of every training crop. 4080 = 16 · 255, so that k/255 is exact. Light takes
# the steepest part of the curve, near black, is then still resolved to 0.05 of 255 levels.
_ENCODED_STEPS = 4080
_LINEAR_STEPS = 65535


def _decode(encoded: Array) -> Array:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def _encode(linear: Array) -> Array:
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


_TO_LINEAR = _decode(np.linspace(0, 1, _ENCODED_STEPS + 1)).astype(np.float32)
_TO_ENCODED = _encode(np.linspace(0, 1, _LINEAR_STEPS + 1)).astype(np.float32)


def to_linear(encoded: Array) -> Array:
    """Encoded f32 of any shape → linear f32 0..1; values outside 0..1 are clipped, as a file clips them."""
    return _TO_LINEAR.take((encoded * _ENCODED_STEPS + 0.5).astype(np.intp), mode="clip")


def to_encoded(linear: Array) -> Array:
    """Linear f32 of any shape → encoded f32 0..1; light below black or above white is clipped, as a sensor clips it."""
    return _TO_ENCODED.take((linear * _LINEAR_STEPS + 0.5).astype(np.intp), mode="clip")


def to_bytes(encoded: Array) -> Array:
    """Encoded f32 → uint8 of the same shape, clipped and rounded to the nearest level."""
    return (np.clip(encoded, 0, 1) * 255 + 0.5).astype(np.uint8)


def eight_bits(encoded: Array) -> Array:
    """Encoded f32 → what a file holds of it: f32 of the values k/255, k = 0..255."""
    return to_bytes(encoded).astype(np.float32) / np.float32(255)


def smooth_field(height: int, width: int, cells: int, rng: np.random.Generator) -> Array:
    """A random field f32[height,width] in 0..1 that changes over about 1/cells of the photo.

    A tiny random grid enlarged: filtering a large one down to the same smoothness costs a hundred times more.
    """
    grid = Image.fromarray(rng.random((cells, cells), dtype=np.float32))
    return np.clip(np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC)), 0, 1)
