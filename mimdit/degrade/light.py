"""Between what a file stores and the light that it stands for: sRGB ↔ linear, and 8 bits.

Photos are f32[H,W,3]; *encoded* means sRGB values 0..1 as in a file, *linear* means light 0..1 where 1 is white.
"""

import numpy as np
from PIL import Image

Array = np.ndarray
Rgb = tuple[float, float, float]

# Tables, because these two run on every pixel of every training crop. 4080 = 16 · 255, so that k/255 is exact.
# Light takes 65,535 steps: the steepest part of the curve, near black, is then resolved to 0.05 of 255 levels.
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
    return _look_up(_TO_LINEAR, encoded)


def to_encoded(linear: Array) -> Array:
    """Linear f32 of any shape → encoded f32 0..1; light below black or above white is clipped, as a sensor clips it."""
    return _look_up(_TO_ENCODED, linear)


def _look_up(table: Array, values: Array) -> Array:
    # Clipped before, not by take(mode="clip"): 0.2 ms a crop of 256×256 instead of 0.6.
    return table.take((np.clip(values, 0, 1) * np.float32(len(table) - 1) + np.float32(0.5)).astype(np.intp))


def to_bytes(encoded: Array) -> Array:
    """Encoded f32 → uint8 of the same shape, clipped and rounded to the nearest level."""
    return (np.clip(encoded, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def eight_bits(encoded: Array) -> Array:
    """Encoded f32 → what a file holds of it: f32 of the values k/255, k = 0..255."""
    return to_bytes(encoded).astype(np.float32) / np.float32(255)


def enlarge(plane: Array, height: int, width: int) -> Array:
    """f32[h,w] → f32[height,width], bicubic. A tiny grid enlarged is the cheap way to anything smooth."""
    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC))


def reduce(plane: Array, factor: int) -> Array:
    """f32[H,W] → f32[⌈H/factor⌉,⌈W/factor⌉], by area means."""
    height, width = plane.shape
    return np.asarray(Image.fromarray(plane).resize((-(-width // factor), -(-height // factor)), Image.Resampling.BOX))
