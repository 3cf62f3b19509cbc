"""Weights in 8 bits: one scale a channel, symmetric, so that zero stays zero."""

import numpy as np

__all__ = ["LARGEST", "rounded"]

LARGEST = 127  # -128 is not used: a weight and its negative are rounded alike


def rounded(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """f32 of any shape → i8 of the same shape and f32 scales with the channels along `axis`, broadcastable to it."""
    others = tuple(i for i in range(values.ndim) if i != axis)
    largest = np.abs(values).max(others, keepdims=True)
    scale = np.where(largest == 0, 1, largest / LARGEST).astype(np.float32)  # a channel of zeros stays zeros
    return np.rint(values / scale).clip(-LARGEST, LARGEST).astype(np.int8), scale
