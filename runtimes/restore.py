"""Bundle + photo → restored photo: the app developer's one call, and the object behind it for many photos."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mimdit.errors import BundleError, PhotoError
from mimdit.pixels import check_photo, from_unit
from mimdit.runtimes import open_runtime
from mimdit.runtimes.base import Runtime
from mimdit.runtimes.dispatch import Dispatcher
from mimdit.runtimes.tiler import Progress, restore_strips
from mimdit.targets import Variant

if TYPE_CHECKING:
    from mimdit.bundle import Bundle

VariantChoice = Variant | Literal["auto"]


@dataclass(frozen=True)
class Restored:
    """pixels: shape and dtype of what went in. variant and runtime ("onnx/cpu") are None where nothing was changed."""

    pixels: np.ndarray
    variant: Variant | None
    runtime: str | None


class Restorer:
    """Restores photo after photo; each variant and the dispatcher are loaded once, when first needed."""

    def __init__(self, bundle: "Bundle", *, threads: int | None = None):
        self._bundle = bundle
        self._threads = threads
        self._runtimes: dict[Variant, Runtime] = {}
        self._dispatcher: Dispatcher | None = None

    def restore(self, photo: np.ndarray, variant: VariantChoice = "auto", progress: Progress | None = None) -> Restored:
        """photo: [H,W,3], uint8, uint16 or float32 in 0..1, sRGB-encoded. Raises PhotoError and BundleError."""
        check_photo(photo)
        if photo.dtype == np.float32 and not (photo.min() >= 0 and photo.max() <= 1):
            raise PhotoError("a float32 photo lies in 0..1, without NaN: divide by its full scale")
        chosen = self._choose(photo) if variant == "auto" else variant
        if chosen is None:
            return Restored(photo.copy(), None, None)
        runtime = self._runtime(chosen)
        overlap = self._bundle.manifest.tile_overlap
        pixels = np.empty(photo.shape, photo.dtype)
        row = 0
        for strip in restore_strips(photo, runtime, overlap, progress=progress):
            pixels[row : row + len(strip)] = from_unit(strip, photo.dtype)
            row += len(strip)
        return Restored(pixels, chosen, f"{runtime.name}/{runtime.unit}")

    def _choose(self, photo: np.ndarray) -> Variant | None:
        """Once per photo, never per tile: two halves of one picture must not be restored differently."""
        if len(self._bundle.variants) == 1:
            return self._bundle.variants[0]
        if self._dispatcher is None:
            self._dispatcher = Dispatcher(self._bundle, self._threads)
        return self._dispatcher.choose(photo)

    def _runtime(self, variant: Variant) -> Runtime:
        if variant not in self._runtimes:
            if variant not in self._bundle.variants:
                names = ", ".join(self._bundle.variants)
                raise BundleError(f"{self._bundle.path.name} has no variant {variant}; it has {names}")
            self._runtimes[variant] = open_runtime(self._bundle, variant, threads=self._threads)
        return self._runtimes[variant]


def restore(
    photo: np.ndarray,
    bundle: "Bundle",
    *,
    variant: VariantChoice = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """Restores one photo [H,W,3] (uint8, uint16 or float32 in 0..1, sRGB-encoded) → the same shape and dtype.

    "auto" asks the bundle's dispatcher, which may answer that there is nothing to restore: the photo comes back
    unchanged. Loads the models anew at every call; keep a `Restorer` for many photos.
    """
    return Restorer(bundle, threads=threads).restore(photo, variant, progress).pixels
