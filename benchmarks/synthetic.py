"""Degraded inputs made from clean photos: fixed settings, and seeds that follow from the names alone.

Each input is what a file would hold, clipped and rounded to 8 bits. Settings that are drawn are drawn from the name of
the degradation and of the photo, so every model, on every machine and in any order, meets the same inputs.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mimdit.degrade import (
    Sensor,
    Shower,
    defocus_blur,
    eight_bits,
    gaussian_blur,
    gaussian_noise,
    haze,
    jpeg,
    low_light,
    motion_blur,
    rain,
)
from mimdit.metrics import psnr
from mimdit.pixels import from_unit, to_unit
from mimdit.targets import Variant

__all__ = ["RAIN_PSNR", "SYNTHETIC", "Synthetic", "degraded", "rainy"]

Array = np.ndarray

RAIN_PSNR = (22.0, 25.0)  # dB between which rainy inputs lie
_DROPS = (0.01, 100.0)  # per thousand pixels: from a clean photo to a curtain
_BLUR_NOISE = 1.0  # levels of 255; a blurred photo without any noise could be inverted, and does not exist


@dataclass(frozen=True)
class Synthetic:
    """One way to degrade: `make` maps an encoded f32[H,W,3] to another, which need not be clipped or rounded.

    variant     the one that belongs to it
    sigma_255   the noise level in levels of 255, for methods that must be told; None where noise is not the point
    """

    name: str
    variant: Variant
    make: Callable[[Array, np.random.Generator], Array]
    sigma_255: float | None = None


def degraded(photo: Array, synthetic: Synthetic, name: str) -> Array:
    """Clean u8[H,W,3] of that name → degraded u8[H,W,3]."""
    rng = np.random.default_rng(zlib.crc32(f"{synthetic.name} {name}".encode()))
    return from_unit(eight_bits(synthetic.make(to_unit(photo), rng)), photo.dtype)


def rainy(photo: Array, rng: np.random.Generator) -> Array:
    """Encoded f32[H,W,3] → the same in streaks of 9 to 31 px within ±30° of the vertical, dense enough for RAIN_PSNR.

    The density is searched by bisection for a PSNR drawn from RAIN_PSNR, less a tenth of a dB at both ends. A photo as
    bright as the drops can miss it: it comes back in the densest rain.
    """
    shower = Shower(
        length_px=float(rng.uniform(9, 31)),
        width_px=float(rng.uniform(0.8, 2.5)),
        angle_deg=float(rng.uniform(-30, 30)),
        drops=_DROPS[0],
        opacity=float(rng.uniform(0.25, 0.5)),
        veil=0,  # a veil of 2 % alone takes a dark photo (306005 of clean_cbsd34) to 21.7 dB
        sky=float(rng.uniform(0.8, 1)),
    )
    wanted = rng.uniform(RAIN_PSNR[0] + 0.1, RAIN_PSNR[1] - 0.1)
    seed = int(rng.integers(2**32))
    low, high = np.log(_DROPS)
    while True:
        middle = (low + high) / 2
        # The same seed at every density: denser rain keeps its drops, if dimmer, so PSNR falls steadily.
        wet = rain(photo, replace(shower, drops=float(np.exp(middle))), np.random.default_rng(seed))
        excess = psnr(eight_bits(wet), photo) - wanted
        if abs(excess) < 0.1 or high - low < 0.01:
            return wet
        low, high = (middle, high) if excess > 0 else (low, middle)


def _noise(sigma_255: float) -> Synthetic:
    return Synthetic(
        f"noise-{sigma_255:g}", "denoise", lambda photo, rng: gaussian_noise(photo, sigma_255, rng), sigma_255
    )


def _jpeg(quality: int) -> Synthetic:
    return Synthetic(f"jpeg-{quality}", "dejpeg", lambda photo, rng: jpeg(photo, quality))


def _defocus(photo: Array, rng: np.random.Generator) -> Array:
    return gaussian_noise(defocus_blur(photo, 3), _BLUR_NOISE, rng)


def _motion(photo: Array, rng: np.random.Generator) -> Array:
    length_px, angle_deg = rng.uniform(10, 20), rng.uniform(0, 360)
    return gaussian_noise(motion_blur(photo, length_px, angle_deg, 60, rng), _BLUR_NOISE, rng)


def _gaussian_blur(photo: Array, rng: np.random.Generator) -> Array:
    return gaussian_noise(gaussian_blur(photo, 2), _BLUR_NOISE, rng)


def _haze(photo: Array, rng: np.random.Generator) -> Array:
    """Mixed as the RESIDE data sets mix, from light to heavy."""
    beta, grey = rng.uniform(0.6, 1.6), float(rng.uniform(0.75, 1))
    return haze(photo, beta, (grey, grey, grey), rng)


def _dark(photo: Array, rng: np.random.Generator) -> Array:
    """1/4 to 1/16 of the light, on a middling sensor that denoises."""
    exposure = float(np.exp(-rng.uniform(np.log(4), np.log(16))))
    sensor = Sensor(electrons=5000, read_electrons=2, red_gain=2, blue_gain=1.5, denoising=0.5, blotch_px=4)
    return low_light(photo, exposure, 0.6, sensor, rng)


def _hazy_noisy_jpeg(photo: Array, rng: np.random.Generator) -> Array:
    return jpeg(gaussian_noise(_haze(photo, rng), 10, rng), 40)


def _dark_noisy(photo: Array, rng: np.random.Generator) -> Array:
    return gaussian_noise(_dark(photo, rng), 10, rng)


def _rainy_blurred(photo: Array, rng: np.random.Generator) -> Array:
    return gaussian_noise(gaussian_blur(rainy(photo, rng), 1.5), _BLUR_NOISE, rng)


SYNTHETIC: tuple[Synthetic, ...] = (
    _noise(15),
    _noise(25),
    _noise(50),
    Synthetic("defocus", "deblur", _defocus),
    Synthetic("motion", "deblur", _motion),
    Synthetic("gaussian-blur", "deblur", _gaussian_blur),
    Synthetic("haze", "dehaze", _haze),
    Synthetic("rain", "derain", rainy),
    Synthetic("lowlight", "lowlight", lambda photo, rng: jpeg(_dark(photo, rng), 95)),
    _jpeg(10),
    _jpeg(40),
    Synthetic("haze+noise+jpeg", "general", _hazy_noisy_jpeg),
    Synthetic("lowlight+noise", "general", _dark_noisy),
    Synthetic("rain+blur", "general", _rainy_blurred),
)
