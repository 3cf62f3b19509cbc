"""Synthetic degradations: seeded, and physical where physics is known. One file per family.

`degrade` and `mixture` draw everything from a generator and return what a file would hold; the same generator state
gives the same photo. The functions with named parameters (`gaussian_noise`, `sensor_noise`, `motion_blur`, ...) are the
single steps: they return f32[H,W,3] unrounded, for the next step, and `eight_bits` makes a file's values of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mimdit.degrade.airlight import draw_haze, haze
from mimdit.degrade.blur import defocus_blur, draw_blur, gaussian_blur, motion_blur
from mimdit.degrade.compression import draw_jpeg, jpeg
from mimdit.degrade.light import eight_bits
from mimdit.degrade.lowlight import draw_low_light, low_light, with_lamps
from mimdit.degrade.noise import draw_noise, gaussian_noise
from mimdit.degrade.sensor import Sensor, draw_sensor, sensor_noise
from mimdit.degrade.shower import Shower, draw_rain, rain
from mimdit.degrade.step import STAGES, Setting, Step
from mimdit.targets import Degradation

__all__ = [
    "Degraded",
    "Sensor",
    "Shower",
    "defocus_blur",
    "degrade",
    "eight_bits",
    "gaussian_blur",
    "gaussian_noise",
    "haze",
    "jpeg",
    "low_light",
    "mixture",
    "motion_blur",
    "night",
    "rain",
    "sensor_noise",
]

_DRAW: dict[Degradation, Callable[[np.random.Generator], list[Step]]] = {
    "noise": draw_noise,
    "sensor": draw_sensor,
    "blur": draw_blur,
    "haze": draw_haze,
    "rain": draw_rain,
    "lowlight": draw_low_light,
    "jpeg": draw_jpeg,
}


@dataclass(frozen=True)
class Degraded:
    """A degraded photo and how it came to be.

    image: f32[H,W,3] of the values k/255 · kind: the degradation, or several joined by "+", in the order asked for
    settings: the drawn parameters, keyed "kind.parameter", in the order of the steps
    """

    image: np.ndarray
    kind: str
    settings: dict[str, Setting]


def degrade(photo: np.ndarray, kind: Degradation, rng: np.random.Generator) -> Degraded:
    """Encoded f32[H,W,3] in 0..1 → one degradation of it, everything about it drawn from `rng`."""
    return mixture(photo, [kind], rng)


def mixture(photo: np.ndarray, kinds: Sequence[Degradation], rng: np.random.Generator) -> Degraded:
    """Encoded f32[H,W,3] in 0..1 → several degradations, as light meets them: scene, lens, sensor, file.

    The order of `kinds` settles only what comes first within a stage. Raises ValueError for no kind, an unknown one or
    a repeated one.
    """
    unknown = [kind for kind in kinds if kind not in _DRAW]
    if unknown or not kinds or len(set(kinds)) < len(kinds):
        raise ValueError(
            f"expected one or more different kinds of {', '.join(_DRAW)}; found {', '.join(kinds) or 'none'}"
        )
    return _taken(photo, {kind: _DRAW[kind](rng) for kind in kinds}, rng)


def night(photo: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Degraded]:
    """Encoded f32[H,W,3] → a truth of it with lamps that are burnt out; the same in low light, where they are not."""
    truth, steps = with_lamps(photo, rng)
    return truth, _taken(photo, {"lowlight": steps}, rng)


def _taken(photo: np.ndarray, drawn: dict[Degradation, list[Step]], rng: np.random.Generator) -> Degraded:
    """Every kind's steps, in the order in which light meets them."""
    steps = [(kind, step) for kind, own in drawn.items() for step in own]
    steps.sort(key=lambda entry: STAGES.index(entry[1].stage))
    settings: dict[str, Setting] = {}
    for kind, step in steps:
        photo = step.apply(photo, rng)
        settings |= {f"{kind}.{name}": value for name, value in step.settings.items()}
    return Degraded(eight_bits(photo), "+".join(drawn), settings)
