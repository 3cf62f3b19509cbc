"""The dispatcher: looks at the whole photo once and names the variants that it needs, one after the other, or none."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mimdit.errors import BundleError
from mimdit.pixels import Pixels
from mimdit.runtimes.base import PHOTO_SHAPE
from mimdit.runtimes.onnx import OnnxModel
from mimdit.targets import Variant
from mimdit.views import dispatcher_inputs

if TYPE_CHECKING:
    from mimdit.bundle import Bundle


# What came last on the light's way into the file is undone first: file, sensor, lens, scene.
ORDER: tuple[Variant, ...] = ("dejpeg", "denoise", "deblur", "derain", "dehaze", "lowlight")


def choose(scores: Mapping[Variant, float], threshold: float, variants: Sequence[Variant]) -> tuple[Variant, ...]:
    """Scores 0..1 → the variants to use, first to last. All below the threshold: none, leave the photo alone.

    One above: that one. Two: both, in `ORDER`. More: `general`, which is frozen for company, or without it the two
    highest. Only `variants` are chosen from.
    """
    above: list[Variant] = [name for name, score in scores.items() if score >= threshold and name in variants]
    if len(above) > 2 and "general" in variants:
        return ("general",)
    highest = sorted(above, key=lambda name: -scores[name])[:2]
    return tuple(sorted(highest, key=ORDER.index))


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

    def scores(self, photo: Pixels) -> dict[Variant, float]:
        """[H,W,3] of any pixel dtype → how sure the dispatcher is of each degradation family, 0..1."""
        view, crops = dispatcher_inputs(photo, self._entry.crop, self._entry.crops)
        scores = self._model(photo=view, crops=crops)  # [1,classes]
        classes = self._entry.classes
        if scores.shape != (1, len(classes)) or not np.isfinite(scores).all():
            raise BundleError(
                f"the dispatcher must give {len(classes)} finite scores, gave {scores}: rebuild the bundle"
            )
        return {name: float(score) for name, score in zip(classes, scores[0], strict=True)}

    def chain(self, scores: Mapping[Variant, float]) -> tuple[Variant, ...]:
        """`choose` by the bundle's own threshold and variants."""
        return choose(scores, self._entry.threshold, self._variants)
