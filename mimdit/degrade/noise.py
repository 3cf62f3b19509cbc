"""Gaussian noise: independent for each pixel and channel, on the encoded values, as denoising benchmarks define it."""

import numpy as np

from mimdit.degrade.light import Array
from mimdit.degrade.step import Step


def gaussian_noise(photo: Array, sigma_255: float, rng: np.random.Generator) -> Array:
    """Encoded f32[H,W,3] → the same plus noise of standard deviation `sigma_255` levels of 255; not clipped."""
    return photo + rng.standard_normal(photo.shape, dtype=np.float32) * np.float32(sigma_255 / 255)


def draw_noise(rng: np.random.Generator) -> list[Step]:
    """Sigma 0..55, four draws of five in 5..50: what benchmarks ask lies inside what is trained, not at its edge."""
    return [noise_step(float(rng.uniform(5, 50) if rng.random() < 0.8 else rng.uniform(0, 55)))]


def noise_step(sigma_255: float) -> Step:
    """Gaussian noise as the sensor stage of a kind that has some."""
    return Step("sensor", {"sigma_255": sigma_255}, lambda photo, rng: gaussian_noise(photo, sigma_255, rng))
