"""Sensor noise: photons counted behind a colour mosaic, then what the camera does to them.

Real noise is not independent from pixel to pixel: two thirds of the colour values are interpolated from neighbours,
and the camera smooths and compresses. In 13 camera JPEGs at ISO 1600 to 6400 (PolyU) brightness noise correlates
0.4 to 0.8 with its neighbour's, colour noise 0.9, and brightness is twice as noisy as colour. A network takes noise of
any other grain than what it has seen for texture and leaves it: trained on brightness noise correlated 0.6 and more
under colour noise as strong, it removed a tenth of theirs. So `draw_camera` draws all of this widely.
"""

from dataclasses import asdict, dataclass

import numpy as np

from mimdit.degrade.blur import convolve, gaussian_kernel
from mimdit.degrade.compression import jpeg_step
from mimdit.degrade.light import Array, enlarge, reduce, to_encoded, to_linear
from mimdit.degrade.step import Step

_FINE = 0.375  # of the mosaic's noise is left in the brightness by denoising 0
_SHARPENED = gaussian_kernel(1.5)  # what is finer than that is strengthened


@dataclass(frozen=True)
class Sensor:
    """What decides a photo's noise.

    electrons          what a white pixel collects, 90..50,000: more from more light, larger pixels and lower ISO
    read_electrons     standard deviation of reading a pixel, 1..5
    red_gain           white balance relative to green, 1..3: red collects that much less, and is noisier for it
    blue_gain          the same for blue
    denoising          0..1: how much of the fine brightness noise the camera removes; 0 leaves all noise as it is
    blotch_px          2..8: the size from which on noise, and all that is left of colour noise, survives the denoising
    grain_px           0.1..1.5: how far the camera smears the fine brightness noise that it leaves
    sharpening         0..1: how much it then strengthens that against coarser
    colour_left        0..1: how much of blotches' colour it leaves; their brightness stays
    """

    electrons: float
    read_electrons: float
    red_gain: float
    blue_gain: float
    denoising: float
    blotch_px: int
    grain_px: float = 0.7
    sharpening: float = 0.0
    colour_left: float = 1.0


def sensor_noise(photo: Array, sensor: Sensor, rng: np.random.Generator) -> Array:
    """Encoded f32[H,W,3] → the same as `sensor` would have taken it, 0..1.

    Only the noise goes through mosaic and demosaicking. Both are linear, so the noise comes out exactly as if all had
    gone through, and the photo is spared the fringes of bilinear demosaicking, which no camera's own leaves.
    """
    light = to_linear(photo)
    gains = np.array([sensor.red_gain, 1, sensor.blue_gain], np.float32)
    mosaic = _count(_mosaic(light / gains) * np.float32(sensor.electrons), sensor.read_electrons, rng)
    mosaic = mosaic / np.float32(sensor.electrons) * _mosaic(np.broadcast_to(gains, light.shape))
    noise = _demosaick(mosaic)
    if sensor.denoising:
        noise = _denoise(noise, mosaic, sensor)
    return to_encoded(light + noise.transpose(1, 2, 0))


def _count(expected: Array, read_electrons: float, rng: np.random.Generator) -> Array:
    """The error, in electrons, of counting `expected` f32[H,W] electrons and reading them out.

    Counting is Poisson, drawn from a Gaussian z as z·√n + (z² − 1)/6. That has a Poisson's mean and skew, and its
    variance to 1/18, in a quarter of the time; the read noise blurs what remains of whole electrons.
    """
    shot, read = rng.standard_normal((2, *expected.shape), dtype=np.float32)
    return shot * np.sqrt(expected) + (shot * shot - 1) / 6 + read * np.float32(read_electrons)


def _mosaic(rgb: Array) -> Array:
    """f32[H,W,3] → f32[H,W]: what a Bayer filter (red top left, blue bottom right) lets through at each pixel."""
    mosaic = rgb[..., 1].copy()
    mosaic[0::2, 0::2] = rgb[0::2, 0::2, 0]
    mosaic[1::2, 1::2] = rgb[1::2, 1::2, 2]
    return mosaic


def _demosaick(mosaic: Array) -> Array:
    """f32[H,W] → f32[3,H,W]: each colour's missing pixels are the mean of its nearest neighbours."""
    padded = np.pad(mosaic, 1, mode="reflect")  # keeps the parity of the mosaic, which repeating the edge would not
    red, blue = np.zeros_like(padded), np.zeros_like(padded)
    red[1::2, 1::2] = padded[1::2, 1::2]
    blue[0::2, 0::2] = padded[0::2, 0::2]
    green = padded - red - blue
    cross = green[:-2, 1:-1] + green[2:, 1:-1] + green[1:-1, :-2] + green[1:-1, 2:]
    # [1 2 1] ⊗ [1 2 1] / 4 is bilinear interpolation from every second pixel of every second row.
    return np.stack([4 * _binomial(red), green[1:-1, 1:-1] + cross / 4, 4 * _binomial(blue)])


def _denoise(noise: Array, mosaic: Array, sensor: Sensor) -> Array:
    """Noise f32[3,H,W] and what it was in the mosaic f32[H,W] → what a camera leaves of it: blotches of all colours,
    and some fine brightness, which good demosaicking takes from each pixel itself and not from its neighbours.
    """
    coarse = np.stack([enlarge(reduce(plane, sensor.blotch_px), *plane.shape) for plane in noise])
    grain = gaussian_kernel(sensor.grain_px)
    # Cameras smear the more, the more noise there is: the strength is the same whatever the grain.
    fine = convolve(mosaic, grain) * np.float32(_FINE / np.sqrt(np.square(grain).sum()))
    if sensor.sharpening:
        fine += np.float32(sensor.sharpening) * (fine - convolve(fine, _SHARPENED))
    grey = coarse.mean(axis=0)
    return grey + np.float32(sensor.colour_left) * (coarse - grey) + np.float32(1 - sensor.denoising) * (fine - grey)


def _binomial(plane: Array) -> Array:
    """f32[H+2,W+2] → f32[H,W]: the mean under [1 2 1] ⊗ [1 2 1] / 16."""
    rows = plane[:-2] + plane[2:] + 2 * plane[1:-1]
    return (rows[:, :-2] + rows[:, 2:] + 2 * rows[:, 1:-1]) * np.float32(1 / 16)


def draw_sensor(rng: np.random.Generator) -> list[Step]:
    """Mostly as barely visible as in a good camera's files (32 to 40 dB), and on to a small sensor in the dark.

    Saved at qualities from 70: 75 with colour at half resolution is what most software writes unasked, and it makes of
    fine noise a few patterns of its own, which a network that has only seen better files leaves.
    """
    camera = sensor_step(draw_camera(rng, electrons=(90, 4500)))
    return [camera, jpeg_step(int(rng.integers(70, 99)), chroma_halved=bool(rng.random() < 0.7))]


def draw_camera(rng: np.random.Generator, electrons: tuple[float, float]) -> Sensor:
    """A random camera that collects `electrons` (from, to) at white; five of six denoise, and half of those sharpen.

    A network that meets one grain in training takes others for texture.
    """
    return Sensor(
        electrons=float(np.exp(rng.uniform(*np.log(electrons)))),
        read_electrons=float(rng.uniform(1, 4)),
        red_gain=float(rng.uniform(1.3, 2.4)),
        blue_gain=float(rng.uniform(1.3, 2.4)),
        denoising=float(rng.uniform(0.1, 0.9)) if rng.random() < 5 / 6 else 0.0,
        blotch_px=int(rng.integers(2, 9)),
        grain_px=float(rng.uniform(0.3, 1.3)),
        sharpening=float(rng.uniform(0, 1)) if rng.random() < 0.5 else 0.0,
        colour_left=float(rng.uniform(0.1, 1)),
    )


def sensor_step(sensor: Sensor) -> Step:
    return Step("sensor", asdict(sensor), lambda photo, rng: sensor_noise(photo, sensor, rng))
