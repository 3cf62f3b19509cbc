"""Sensor noise: photons counted behind a colour mosaic, then what the camera does to them.

Real noise is not independent from pixel to pixel: two thirds of the colour values are interpolated from neighbours, and the camera smooths
and compresses. A network that has seen only independent noise takes such blotches for texture and leaves them.
"""

from dataclasses import dataclass

import numpy as np

from mimdit.degrade.jpeg import jpeg_step
from mimdit.degrade.light import Array, to_encoded, to_linear
from mimdit.degrade.step import Setting, Step


@dataclass(frozen=True)
class Sensor:
    """What decides a photo's noise.

    electrons: what a white pixel collects; shot noise is sqrt(electrons). About 50,000 at ISO 100 on a large sensor, 400 at ISO 6400 on a small one
    read_electrons: standard deviation of the read-out, per pixel
    red_gain, blue_gain: white balance relative to green, 1..3; these channels collect that much less and are noisier for it
    smoothing: 0..1, how much of the noise the camera's own denoiser replaces by its neighbourhood mean
    """

    electrons: float
    read_electrons: float
    red_gain: float
    blue_gain: float
    smoothing: float

    def settings(self) -> dict[str, Setting]:
        return {name: float(value) for name, value in vars(self).items()}


def sensor_noise(photo: Array, sensor: Sensor, rng: np.random.Generator) -> Array:
    """Encoded f32[H,W,3] → the same as `sensor` would have taken it, 0..1.

    Only the noise goes through mosaic and demosaicking. Both are linear, so the noise comes out exactly as if all had gone through, and
    the photo is spared the colour fringes of bilinear demosaicking, which no camera's own demosaicking makes.
    """
    linear = to_linear(photo)
    gains = np.array([sensor.red_gain, 1, sensor.blue_gain], np.float32)
    expected = _mosaic(linear / gains) * np.float32(sensor.electrons)
    counted = rng.poisson(expected) + rng.standard_normal(expected.shape, dtype=np.float32) * np.float32(
        sensor.read_electrons
    )
    noise = _demosaick(((counted - expected) / sensor.electrons).astype(np.float32))
    if sensor.smoothing:
        noise += np.float32(sensor.smoothing) * (_binomial(noise) - noise)
    return to_encoded(linear + noise.transpose(1, 2, 0) * gains)


def _mosaic(rgb: Array) -> Array:
    """f32[H,W,3] → f32[H,W]: what a Bayer filter (red top left, blue bottom right) lets through at each pixel."""
    mosaic = rgb[..., 1].copy()
    mosaic[0::2, 0::2] = rgb[0::2, 0::2, 0]
    mosaic[1::2, 1::2] = rgb[1::2, 1::2, 2]
    return mosaic


def _demosaick(mosaic: Array) -> Array:
    """f32[H,W] → f32[3,H,W]: each colour's missing pixels are the mean of its nearest neighbours."""
    padded = np.pad(mosaic, 1, mode="reflect")  # keeps the parity of the mosaic, which repeating the edge would not
    planes = np.zeros((3, *padded.shape), np.float32)
    planes[0, 1::2, 1::2] = padded[1::2, 1::2]
    planes[2, 0::2, 0::2] = padded[0::2, 0::2]
    planes[1] = padded - planes[0] - planes[2]
    green = planes[1]
    cross = green[:-2, 1:-1] + green[2:, 1:-1] + green[1:-1, :-2] + green[1:-1, 2:]
    out = 4 * _binomial(planes, pad=False)  # red and blue: the kernel [1 2 1] ⊗ [1 2 1] / 4
    out[1] = green[1:-1, 1:-1] + cross / 4
    return out


def _binomial(planes: Array, pad: bool = True) -> Array:
    """f32[C,H,W] → its 3×3 binomial mean; without `pad` the outermost pixels are used up."""
    if pad:
        planes = np.pad(planes, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = planes[:, :-2] + planes[:, 2:] + 2 * planes[:, 1:-1]
    return (rows[..., :-2] + rows[..., 2:] + 2 * rows[..., 1:-1]) * np.float32(1 / 16)


def draw_sensor(rng: np.random.Generator) -> list[Step]:
    """From barely visible (a camera at ISO 1600 that denoised the photo itself) to a small sensor in the dark."""
    sensor = draw_camera(rng, electrons=float(np.exp(rng.uniform(np.log(80), np.log(6000)))))
    return [sensor_step(sensor), jpeg_step(int(rng.integers(85, 99)))]


def draw_camera(rng: np.random.Generator, electrons: float) -> Sensor:
    """A camera that collects `electrons` at white; the rest of it at random."""
    return Sensor(
        electrons=electrons,
        read_electrons=float(rng.uniform(1, 4)),
        red_gain=float(rng.uniform(1.3, 2.4)),
        blue_gain=float(rng.uniform(1.3, 2.4)),
        smoothing=float(rng.choice([0, rng.uniform(0, 1)])),
    )


def sensor_step(sensor: Sensor) -> Step:
    return Step("sensor", sensor.settings(), lambda photo, rng: sensor_noise(photo, sensor, rng))
