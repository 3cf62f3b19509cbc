"""Rain: bright streaks in front of the scene, and the veil of drops too far away to be seen one by one."""

from dataclasses import asdict, dataclass

import numpy as np

from mimdit.degrade.blur import convolve, motion_kernel
from mimdit.degrade.light import Array, to_encoded, to_linear
from mimdit.degrade.step import Step


@dataclass(frozen=True)
class Shower:
    """length_px: 9..31, of a streak · angle_deg: −30..30 from the vertical · drops: per thousand pixels, 1..20
    opacity: 0..1, of the brightest streaks · veil: 0..1, how much of the scene the far drops hide · sky: encoded 0..1, the light that drops send on
    """

    length_px: float
    angle_deg: float
    drops: float
    opacity: float
    veil: float
    sky: float


def rain(photo: Array, shower: Shower, rng: np.random.Generator) -> Array:
    """Encoded f32[H,W,3] → the same in the rain, 0..1, mixed in linear light: a drop hides part of the scene and sends on the sky."""
    height, width = photo.shape[:2]
    drops = rng.random((height, width), dtype=np.float32)
    share = np.float32(shower.drops / 1000)
    # A drop's brightness is uniform in 0..1; one random number decides both whether there is one and how bright it is.
    drops = np.where(drops < share, drops / share, 0).astype(np.float32)
    streak = motion_kernel(shower.length_px - 3, 90 + shower.angle_deg, 0, rng)
    streaks = convolve(drops, streak / streak.max())
    hidden = np.clip(shower.veil + (1 - shower.veil) * shower.opacity * np.minimum(streaks, 1), 0, 1)[..., None]
    sky = to_linear(np.float32(shower.sky))
    return to_encoded(to_linear(photo) * (1 - hidden) + sky * hidden)


def draw_rain(rng: np.random.Generator) -> list[Step]:
    """From drizzle to a downpour; the typical input is 20 to 30 dB from the truth."""
    shower = Shower(
        length_px=float(rng.uniform(9, 31)),
        angle_deg=float(rng.uniform(-30, 30)),
        drops=float(np.exp(rng.uniform(np.log(1), np.log(12)))),
        opacity=float(rng.uniform(0.1, 0.5)),
        veil=float(rng.uniform(0, 0.05)),
        sky=float(rng.uniform(0.75, 1)),
    )
    return [Step("scene", asdict(shower), lambda photo, rng: rain(photo, shower, rng))]
