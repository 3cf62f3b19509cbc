"""What `auto` would do with a photo and why, beside what can be measured in its pixels: for people who wonder."""

from dataclasses import dataclass

import numpy as np

from mimdit.judgement import Facts, facts
from mimdit.runtimes.restore import Restorer
from mimdit.targets import Variant

__all__ = ["Inspection", "inspect", "suggestion"]

# From where on a fact speaks for a variant. Clean photos stayed below all of them (8 of the training photos at 900 px):
# noise 0.2 to 1 levels, blockiness 0.98 to 1.02, exposure 0.11 to 0.87; JPEG at quality 80 has a blockiness of 1.3.
_NOISY = 6.0
_BLOCKY = 1.15
_HAZY = 0.6
_DARK = 0.15
_WHITE_ALREADY = 0.8  # mean lightness above which a high dark channel is a white scene rather than haze

_CAUSES: dict[Variant, str] = {
    "denoise": "noise",
    "deblur": "blur",
    "dehaze": "haze",
    "derain": "rain",
    "lowlight": "darkness",
    "dejpeg": "JPEG artefacts",
    "general": "several kinds of damage",
}


@dataclass(frozen=True)
class Inspection:
    """scores: the dispatcher's, 0..1 each, None where the bundle has none to ask · variants: what `auto` would use, in
    order · facts: measured in the pixels · suggestion: plain words."""

    width: int
    height: int
    scores: dict[Variant, float] | None
    variants: tuple[Variant, ...]
    facts: Facts
    suggestion: str


def inspect(photo: np.ndarray, restorer: Restorer) -> Inspection:
    """[H,W,3] in the working space of any pixel dtype → what there is to say about it."""
    scores, variants = restorer.judge(photo)
    measured = facts(photo)
    height, width = photo.shape[:2]
    rounded = scores and {name: round(score, 4) for name, score in scores.items()}
    return Inspection(width, height, rounded, variants, measured, suggestion(variants, measured))


def suggestion(variants: tuple[Variant, ...], measured: Facts) -> str:
    """What to do, in a sentence or two: what `auto` would use, and what speaks for another variant."""
    seen = _evidence(measured)
    if not variants:
        first = "Nothing to restore is seen, so --variant auto leaves the photo as it is."
    else:
        causes = " and ".join(_CAUSES[variant] for variant in variants)
        first = f"The dispatcher sees {causes}: --variant auto uses {', then '.join(variants)}."
    other: list[Variant] = [name for name in seen if name not in variants and variants != ("general",)]
    if other:
        also = "; ".join(f"{seen[variant]}: try --variant {variant}" for variant in other)
        return f"{first} But {also}."
    return first


def _evidence(measured: Facts) -> dict[Variant, str]:
    """Variants that a fact speaks for, and the fact in words."""
    found: dict[Variant, str] = {}
    if measured.noise > _NOISY:
        found["denoise"] = f"its noise is about {measured.noise:.0f} of 255 levels"
    if measured.blockiness > _BLOCKY:
        found["dejpeg"] = (
            f"steps at its 8 px grid are {measured.blockiness:.1f} times those between, as JPEG makes them"
        )
    if measured.haze > _HAZY and measured.exposure < _WHITE_ALREADY:
        found["dehaze"] = f"nothing in it is dark (dark channel {measured.haze:.2f} of the airlight), as in haze"
    if measured.exposure < _DARK:
        found["lowlight"] = f"it is dark: a mean of {measured.exposure:.2f} of full lightness"
    return found
