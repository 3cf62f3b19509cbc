"""Rain: bright streaks in front of the scene, and the veil of drops too far away to be seen one by one."""

from dataclasses import asdict, dataclass

import numpy as np

from mimdit.degrade.blur import convolve
from mimdit.degrade.light import Array, to_encoded, to_linear
from mimdit.degrade.step import Step


@dataclass(frozen=True)
class Shower:
    """What decides how rain looks.

    length_px     of the nearest drops' streaks, 9..31
    width_px      of the nearest drops' streaks, 0.8..2.5
    angle_deg     from the vertical, −30..30
    drops         nearest drops per thousand pixels, 0.3..5
    opacity       0..1, of the brightest streak
    veil          0..1, how much of the scene the farthest drops hide together
    sky           encoded 0..1, the light that drops send on
    """

    length_px: float
    width_px: float
    angle_deg: float
    drops: float
    opacity: float
    veil: float
    sky: float


def rain(photo: Array, shower: Shower, rng: np.random.Generator) -> Array:
    """Encoded f32[H,W,3] → the same in the rain, 0..1. In linear light: a drop hides some scene and sends on some sky.

    Drops fall at two depths. Twice as far they are four times as many, half as long, half as wide and half as opaque.
    """
    seen = np.full(photo.shape[:2], 1 - np.float32(shower.veil))
    for distance in (1, 2):
        streak = _streak(shower.length_px / distance, shower.width_px / distance, shower.angle_deg)
        drops = _drops(photo.shape[:2], shower.drops * distance**2, rng)
        hidden = np.clip(convolve(drops, streak), 0, 1)
        seen *= 1 - hidden * np.float32(shower.opacity / distance)
    sky = to_linear(np.array([shower.sky], np.float32))
    return to_encoded(sky + (to_linear(photo) - sky) * seen[..., None])


def _streak(length_px: float, width_px: float, angle_deg: float) -> Array:
    """f32[K,K], 1 along the middle of the streak, falling off like a Gaussian across it; past its ends too, up to K."""
    half = int(np.ceil(length_px / 2))
    down, right = np.mgrid[-half : half + 1, -half : half + 1]
    sine, cosine = np.sin(np.deg2rad(angle_deg)), np.cos(np.deg2rad(angle_deg))
    past_end = np.maximum(np.abs(down * cosine + right * sine) - (length_px - width_px) / 2, 0)
    across = right * cosine - down * sine
    return np.exp(-2 * (past_end**2 + across**2) / width_px**2).astype(np.float32)


def _drops(shape: tuple[int, ...], per_thousand: float, rng: np.random.Generator) -> Array:
    """f32[H,W]: 0 where no drop is, else its brightness in 0..1. One random number a pixel decides both."""
    share = np.float32(per_thousand / 1000)
    chance = rng.random(shape, dtype=np.float32)
    return np.where(chance < share, chance / share, np.float32(0))


def draw_rain(rng: np.random.Generator) -> list[Step]:
    """From drizzle to a downpour; most inputs lie 20 to 30 dB from the truth."""
    shower = Shower(
        length_px=float(rng.uniform(9, 31)),
        width_px=float(rng.uniform(0.8, 2.5)),
        angle_deg=float(rng.uniform(-30, 30)),
        drops=float(np.exp(rng.uniform(np.log(0.5), np.log(5)))),
        opacity=float(rng.uniform(0.15, 0.5)),
        veil=float(rng.uniform(0, 0.05)),
        sky=float(rng.uniform(0.75, 1)),
    )
    return [Step("scene", asdict(shower), lambda photo, rng: rain(photo, shower, rng))]
