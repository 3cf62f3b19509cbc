"""Low light: a fraction of the light, and therefore a sensor that counts few photons, developed as a camera JPEG."""

import numpy as np

from mimdit.degrade.compression import jpeg_step
from mimdit.degrade.light import Array, Rgb, to_encoded, to_linear
from mimdit.degrade.sensor import Sensor, draw_camera, sensor_noise, sensor_step
from mimdit.degrade.step import Step


def low_light(photo: Array, exposure: float, shoulder: float, sensor: Sensor, rng: np.random.Generator) -> Array:
    """Encoded f32[H,W,3] → the same with `exposure` (1/40..1/4) of its light, taken by `sensor`, 0..1."""
    return sensor_noise(expose(photo, exposure, shoulder), sensor, rng)


def expose(photo: Array, exposure: float, shoulder: float, tint: Rgb = (1, 1, 1)) -> Array:
    """Encoded f32[H,W,3] → the same with `exposure` times its light, each channel `tint` times that, 0..1.

    `shoulder` 0..0.9 is how much the camera's tone curve x / (1 + shoulder·x) had compressed the highlights of `photo`.
    Compressed highlights were brighter than they look: between two camera files of one scene, mid-tones fell to 1/6.3
    of their linear value and the brightest to 1/1.7. A shoulder of 0.8 gives 1/6 and 1/2.4, none gives 1/6 for both.
    """
    light = to_linear(photo)
    light /= 1 - np.float32(shoulder) * light
    light *= np.float32(exposure) * np.asarray(tint, np.float32)
    return to_encoded(light / (1 + np.float32(shoulder) * light))


def draw_low_light(rng: np.random.Generator) -> list[Step]:
    """1/4 to 1/40 of the light, by cameras whose tone curves and white balance in the dark differ."""
    exposure = float(1 / np.exp(rng.uniform(np.log(4), np.log(40))))
    shoulder = float(rng.uniform(0.3, 0.9))
    red, blue = rng.uniform(0.9, 1.1, 2).tolist()
    settings = {"exposure": exposure, "shoulder": shoulder}
    return [
        Step("scene", settings, lambda photo, rng: expose(photo, exposure, shoulder, (red, 1, blue))),
        sensor_step(draw_camera(rng, electrons=(1000, 30000))),
        jpeg_step(int(rng.integers(90, 99)), chroma_halved=bool(rng.random() < 0.5)),
    ]
