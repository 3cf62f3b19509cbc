"""The dispatcher: looks at the whole photo once and names the variant that it needs, or none."""

from collections.abc import Mapping, Sequence
from math import isqrt
from typing import TYPE_CHECKING

import numpy as np

from mimdit.errors import BundleError
from mimdit.runtimes.base import PHOTO_SHAPE
from mimdit.runtimes.onnx import OnnxModel
from mimdit.runtimes.pixels import mirror, to_unit
from mimdit.runtimes.view import photo_view
from mimdit.targets import Variant

if TYPE_CHECKING:
    from mimdit.bundle import Bundle


def photo_crops(photo: np.ndarray, crop: int, crops: int) -> np.ndarray:
    """[H,W,3] of any pixel dtype → f32[crops,3,crop,crop] in 0..1: native pixels from a square grid over the photo.

    Noise and block edges live in native pixels, which `photo_view` averages away. The outermost crops touch the
    photo's borders; they overlap, and are filled up by reflection, where the photo is small.
    """
    side = isqrt(crops)
    rows, columns = (_grid(size, crop, side) for size in photo.shape[:2])
    cut = [to_unit(photo[np.ix_(y, x)]).transpose(2, 0, 1) for y in rows for x in columns]
    return np.stack(cut)


def _grid(size: int, crop: int, side: int) -> list[np.ndarray]:
    """`side` index arrays int[crop], spread evenly over `size` pixels."""
    line = mirror(max(size, crop), size)
    last = len(line) - crop
    origins = [round(i * last / max(side - 1, 1)) for i in range(side)]
    return [line[o : o + crop] for o in origins]


def choose(scores: Mapping[Variant, float], threshold: float, variants: Sequence[Variant]) -> Variant | None:
    """Scores 0..1 → the variant to use. All below the threshold: None, leave the photo alone. One above: that one.

    Several above: `general`. Only `variants` are chosen from; without `general` the highest score decides.
    """
    above: list[Variant] = [name for name, score in scores.items() if score >= threshold and name in variants]
    if len(above) > 1 and "general" in variants:
        return "general"
    return max(above, key=lambda name: scores[name], default=None)


class Dispatcher:
    """A bundle's dispatcher, loaded once. It is an .onnx file whatever the bundle's target."""

    def __init__(self, bundle: "Bundle", threads: int | None = None):
        entry = bundle.manifest.dispatcher
        if entry is None:
            names = ", ".join(bundle.variants)
            raise BundleError(f"{bundle.path.name} has no dispatcher to choose a variant: name one of {names}")
        self._entry = entry
        self._variants = bundle.variants
        inputs = {"photo": PHOTO_SHAPE, "crops": (entry.crops, 3, entry.crop, entry.crop)}
        self._model = OnnxModel(bundle.file(entry.file), inputs, "scores", threads)

    def scores(self, photo: np.ndarray) -> dict[Variant, float]:
        """[H,W,3] of any pixel dtype → how sure the dispatcher is of each degradation family, 0..1."""
        scores = self._model(
            photo=photo_view(photo), crops=photo_crops(photo, self._entry.crop, self._entry.crops)
        )  # [1,classes]
        classes = self._entry.classes
        if scores.shape != (1, len(classes)) or not np.isfinite(scores).all():
            raise BundleError(
                f"the dispatcher must give {len(classes)} finite scores, gave {scores}: rebuild the bundle"
            )
        return {name: float(score) for name, score in zip(classes, scores[0], strict=True)}

    def choose(self, photo: np.ndarray) -> Variant | None:
        """The variant that the photo needs, or None: leave it alone."""
        return choose(self.scores(photo), self._entry.threshold, self._variants)
