"""Weights in 8 bits: one scale a channel, symmetric, so that zero stays zero."""

import numpy as np
from numpy.typing import DTypeLike

__all__ = ["LARGEST", "in_steps", "largest_of", "rounded", "steps_of"]

LARGEST = 127  # -128 is not used: a weight and its negative are rounded alike


def rounded(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """f32 of any shape → i8 of the same shape and f32 scales with the channels along `axis`, broadcastable to it."""
    scale = steps_of(largest_of(values, axis))
    return in_steps(values, scale), scale


def largest_of(values: np.ndarray, axis: int) -> np.ndarray:
    """The largest absolute value of each channel along `axis`; all other axes are 1."""
    return np.abs(values).max(tuple(i for i in range(values.ndim) if i != axis), keepdims=True)


def steps_of(largest: np.ndarray, dtype: DTypeLike = np.float32) -> np.ndarray:
    """Largest absolute values → scales in `dtype`, one step of 8 bits each."""
    scale = (largest / LARGEST).astype(dtype)
    return np.where(scale == 0, np.ones_like(scale), scale)  # a channel of zeros stays zeros


def in_steps(values: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """f32 → i8, in steps of `scale`, which is broadcast to it."""
    return np.rint(values / scale.astype(np.float32)).clip(-LARGEST, LARGEST).astype(np.int8)
