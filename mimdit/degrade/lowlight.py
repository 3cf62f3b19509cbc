"""Low light: a fraction of the light, and therefore a sensor that counts few photons, developed by the camera as a JPEG."""

import numpy as np

from mimdit.degrade.jpeg import jpeg_step
from mimdit.degrade.light import Array, Rgb, to_encoded, to_linear
from mimdit.degrade.sensor import Sensor, draw_camera, sensor_noise, sensor_step
from mimdit.degrade.step import Step


def low_light(photo: Array, exposure: float, sensor: Sensor, rng: np.random.Generator) -> Array:
    """Encoded f32[H,W,3] → the same with `exposure` (1/40..1/4) of its light, taken by `sensor`, 0..1."""
    return sensor_noise(expose(photo, exposure), sensor, rng)


def expose(photo: Array, exposure: float, tint: Rgb = (1, 1, 1)) -> Array:
    """Encoded f32[H,W,3] → the same with `exposure` times its linear light, each channel `tint` times that, 0..1."""
    return to_encoded(to_linear(photo) * (np.float32(exposure) * np.asarray(tint, np.float32)))


def tone_curve(photo: Array, gamma: float) -> Array:
    """Encoded f32[H,W,3] → photo^gamma: cameras differ in how deep they draw shadows; above 1 is darker."""
    return np.clip(photo, 0, 1) ** np.float32(gamma)


def draw_low_light(rng: np.random.Generator) -> list[Step]:
    """1/4 to 1/40 of the light."""
    exposure = float(1 / np.exp(rng.uniform(np.log(4), np.log(40))))
    sensor = draw_camera(rng, electrons=float(np.exp(rng.uniform(np.log(2000), np.log(30000)))))
    red, blue = rng.uniform(0.9, 1.1, 2).tolist()
    gamma = float(rng.uniform(0.9, 1.1))
    return [
        Step("scene", {"exposure": exposure}, lambda photo, rng: expose(photo, exposure, (red, 1, blue))),
        sensor_step(sensor),
        Step("file", {"gamma": gamma}, lambda photo, rng: tone_curve(photo, gamma)),
        jpeg_step(int(rng.integers(90, 99))),
    ]
