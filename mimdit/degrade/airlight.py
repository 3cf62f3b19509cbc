"""Haze: I = J·t + A·(1 − t), where the transmission t = exp(−β·d) falls with the depth d and A is the airlight."""

import numpy as np

from mimdit.degrade.light import Array, Rgb, enlarge, to_encoded, to_linear
from mimdit.degrade.step import Step


def scatter(light: Array, transmission: Array, airlight: Rgb) -> Array:
    """I = J·t + A·(1 − t) for J = `light` f32[H,W,3], t = `transmission` f32[H,W] and A = `airlight`, in one unit."""
    t = transmission[..., None]
    return light * t + np.asarray(airlight, np.float32) * (1 - t)


def haze(photo: Array, beta: float, airlight: Rgb, rng: np.random.Generator, *, linear: bool = False) -> Array:
    """Encoded f32[H,W,3] → the same through haze of density `beta` 0.2 (light) .. 2 (heavy), 0..1.

    The depth is `depth_field`'s; `airlight` is encoded, 0..1. `linear` mixes light, as air does. Otherwise encoded
    values are mixed, as the RESIDE data sets do, on which dehazing is measured: dark objects fade more slowly there.
    """
    height, width = photo.shape[:2]
    transmission = np.exp(np.float32(-beta) * depth_field(height, width, rng))
    if not linear:
        return scatter(photo, transmission, airlight)
    red, green, blue = to_linear(np.asarray(airlight, np.float32)).tolist()
    return to_encoded(scatter(to_linear(photo), transmission, (red, green, blue)))


def depth_field(height: int, width: int, rng: np.random.Generator) -> Array:
    """Depth of a random scene, f32[height,width] in 0.1..1: smooth hills, farther towards the top."""
    cells = int(rng.integers(2, 6))
    hills = np.clip(enlarge(rng.random((cells, cells), dtype=np.float32), height, width), 0, 1)
    slope = np.float32(rng.uniform(0, 1))
    from_bottom = np.linspace(1, 0, height, dtype=np.float32)[:, None]
    return np.float32(0.1) + np.float32(0.9) * (slope * from_bottom + (1 - slope) * hills)


def draw_haze(rng: np.random.Generator) -> list[Step]:
    """Light to heavy, under a near-grey sky of 0.7..1; half of it mixed as RESIDE does, half as air does."""
    beta = float(np.exp(rng.uniform(np.log(0.2), np.log(2))))
    grey = float(rng.uniform(0.7, 1))
    red, green, blue = np.clip(grey + rng.uniform(-0.03, 0.03, 3), 0.7, 1).tolist()
    linear = bool(rng.random() < 0.5)
    settings = {"beta": beta, "airlight": grey, "light": "linear" if linear else "encoded"}
    return [Step("scene", settings, lambda photo, rng: haze(photo, beta, (red, green, blue), rng, linear=linear))]
