"""Low light: a fraction of the light, and therefore a sensor that counts few photons, developed as a camera JPEG."""

import numpy as np

from mimdit.degrade.compression import jpeg_step
from mimdit.degrade.light import Array, Rgb, eight_bits, to_encoded, to_linear
from mimdit.degrade.sensor import Sensor, draw_camera, sensor_noise, sensor_step
from mimdit.degrade.step import Step


def low_light(photo: Array, exposure: float, shoulder: float, sensor: Sensor, rng: np.random.Generator) -> Array:
    """Encoded f32[H,W,3] → the same with `exposure` (1/40..1/4) of its light, taken by `sensor`, 0..1."""
    return sensor_noise(expose(photo, exposure, shoulder), sensor, rng)


def expose(photo: Array, exposure: float, shoulder: float, tint: Rgb = (1, 1, 1), lamps: Array | float = 1.0) -> Array:
    """Encoded f32[H,W,3] → the same with `exposure` times its light, each channel `tint` times that, 0..1.

    `shoulder` 0..0.9 is how much the camera's tone curve x / (1 + shoulder·x) had compressed the highlights of `photo`.
    Compressed highlights were brighter than they look: between two camera files of one scene, mid-tones fell to 1/6.3
    of their linear value and the brightest to 1/1.7. A shoulder of 0.8 gives 1/6 and 1/2.4, none gives 1/6 for both.
    `lamps` f32[H,W,1] ≥ 1 is how many times the light of `photo` falls on a place: what burns out there in a long
    exposure is still seen in a short one.
    """
    light = to_linear(photo)
    light /= 1 - np.float32(shoulder) * light
    light *= np.float32(exposure) * np.asarray(tint, np.float32) * lamps
    return to_encoded(light / (1 + np.float32(shoulder) * light))


def with_lamps(photo: Array, rng: np.random.Generator) -> tuple[Array, list[Step]]:
    """A night with lamps: encoded f32[H,W,3] → the truth, whose lamps are burnt out, and the steps from `photo` to the
    dark photo, where they are not. A network that has only seen even darkness takes a lamp for a sign of enough light.
    """
    lamps = lamp_field(photo.shape[0], photo.shape[1], rng)
    steps = draw_low_light(rng, lamps)
    return eight_bits(expose(photo, 1, float(steps[0].settings["shoulder"]), lamps=lamps)), steps


def lamp_field(height: int, width: int, rng: np.random.Generator) -> Array:
    """How many times brighter 1 to 4 lamps make each place, f32[height,width,1]: 3 to 40 in the middle, 1 far away."""
    down, right = np.mgrid[0:height, 0:width].astype(np.float32)
    field = np.ones((height, width), np.float32)
    for _ in range(rng.integers(1, 5)):
        y, x = rng.uniform(-0.1, 1.1, 2) * (height, width)
        radius = max(height, width) * np.exp(rng.uniform(np.log(0.02), np.log(0.3)))
        stretch = np.exp(rng.uniform(-0.7, 0.7))  # strips, and light that falls aslant
        distance = ((down - y) * stretch) ** 2 + ((right - x) / stretch) ** 2
        field += np.float32(np.exp(rng.uniform(np.log(2), np.log(40)))) / (1 + distance / np.float32(radius**2)) ** 2
    return field[..., None]


def draw_low_light(rng: np.random.Generator, lamps: Array | float = 1.0) -> list[Step]:
    """1/4 to 1/40 of the light, by cameras whose tone curves and white balance in the dark differ."""
    exposure = float(1 / np.exp(rng.uniform(np.log(4), np.log(40))))
    shoulder = float(rng.uniform(0.3, 0.9))
    red, blue = rng.uniform(0.9, 1.1, 2).tolist()
    settings = {"exposure": exposure, "shoulder": shoulder}
    return [
        Step("scene", settings, lambda photo, rng: expose(photo, exposure, shoulder, (red, 1, blue), lamps)),
        sensor_step(draw_camera(rng, electrons=(1000, 30000))),
        jpeg_step(int(rng.integers(90, 99)), chroma_halved=bool(rng.random() < 0.5)),
    ]
