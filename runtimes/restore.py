"""Bundle + photo → restored photo: the app developer's one call, and the object behind it for many photos."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mimdit.errors import BundleError, PhotoError
from mimdit.pixels import Pixels, check_photo, from_unit, to_unit
from mimdit.runtimes.base import Runtime
from mimdit.runtimes.dispatch import Dispatcher
from mimdit.runtimes.second_look import NOT_ASKED, busiest_window, is_seen
from mimdit.runtimes.tiler import Progress, Window, restore_strips, tile_count
from mimdit.runtimes.units import open_trusted
from mimdit.runtimes.view import WholePhotoView
from mimdit.targets import SETS_LIGHT, Variant

if TYPE_CHECKING:
    from mimdit.bundle import Bundle

VariantChoice = Variant | Literal["auto"]


@dataclass(frozen=True)
class Restored:
    """A restored photo and how it came to be.

    pixels: shape and dtype of what went in, or of its window · variants: one after the other, empty where nothing was
    changed · scores: the dispatcher's, empty where it was not asked · runtime ("onnx/cpu") and tile (the last
    variant's, in px): None where nothing was changed · view: the whole photo that the last variant's tiles were held
    to, None where a single tile held the photo, and for variants that do not set its light (`SETS_LIGHT`).
    """

    pixels: np.ndarray
    variants: tuple[Variant, ...] = ()
    scores: Mapping[Variant, float] | None = None
    runtime: str | None = None
    tile: int | None = None
    view: WholePhotoView | None = None

    @property
    def variant(self) -> str | None:
        """The variants in order, joined by "+", or None."""
        return "+".join(self.variants) or None


class Restorer:
    """Restores photo after photo, from several threads if need be; every model is loaded once, when first needed.

    tile: which of the bundle's tile sizes; None takes what suits a photo's size, see `best_tile`.
    provider: which of the runtime's backends, see `open_runtime`; where it does not give the bundle's pixels, `tell`
    hears of it and the next one is taken.
    """

    def __init__(
        self,
        bundle: "Bundle",
        *,
        threads: int | None = None,
        tile: int | None = None,
        provider: str | None = None,
        tell: Callable[[str], object] = warnings.warn,
    ):
        self._bundle = bundle
        self._threads = threads
        self._provider = provider
        self._tell = tell
        self._tile = tile
        self._runtimes: dict[tuple[Variant, int], Runtime] = {}
        self._dispatcher: Dispatcher | None = None
        self._loading = Lock()

    def restore(
        self,
        photo: Pixels,
        variant: VariantChoice = "auto",
        progress: Progress | None = None,
        *,
        strength: float = 1.0,
        window: Window | None = None,
        in_place: bool = False,
    ) -> Restored:
        """photo: [H,W,3], uint8, uint16 or float32 in 0..1, sRGB-encoded. Raises PhotoError and BundleError.

        strength: the share of each variant's change that is applied, 0..1. window: only this part comes back, the same
        pixels as in the whole. in_place: the photo's own memory receives the result, so that none is held twice.
        progress counts anew for each variant of a chain.
        """
        check_photo(photo)
        if isinstance(photo, np.ndarray) and photo.dtype == np.float32 and not (photo.min() >= 0 and photo.max() <= 1):
            raise PhotoError("a float32 photo lies in 0..1, without NaN: divide by its full scale")
        whole = Window(0, 0, *photo.shape[:2])
        window = window or whole
        _check_window(window, whole)
        scores: Mapping[Variant, float] | None = None
        variants: tuple[Variant, ...]
        if variant == "auto":
            scores, variants = self.judge(photo)
        else:
            variants = (variant,)
        pixels: Any = photo
        runtime, view = None, None
        for i, name in enumerate(variants):
            part = window if i == len(variants) - 1 else whole
            runtime = self._runtime(name, photo.shape[0], photo.shape[1])
            target = (
                pixels if part == whole and (in_place or i) else np.empty((part.height, part.width, 3), photo.dtype)
            )
            view = self._restore(pixels, target, part, runtime, name in SETS_LIGHT, strength, progress)
            pixels = target
        if runtime is None:
            part = pixels if window == whole else window.of(photo)
            return Restored(part if in_place else part[:].copy(), scores=scores)
        return Restored(pixels, variants, scores, f"{runtime.name}/{runtime.unit}", runtime.tile, view)

    def judge(self, photo: Pixels) -> tuple[dict[Variant, float] | None, tuple[Variant, ...]]:
        """What `auto` sees and does: the dispatcher's scores, and those of the variants that it chooses which find
        something to restore (`second_look`).

        Once per photo, never per tile: two halves of one picture must not be restored differently. A bundle of one
        variant uses it unasked, with None for the scores.
        """
        if len(self._bundle.variants) == 1:
            return None, self._bundle.variants
        with self._loading:
            if self._dispatcher is None:
                self._dispatcher = Dispatcher(self._bundle, self._threads)
        scores = self._dispatcher.scores(photo)
        chosen = self._dispatcher.chain(scores)
        if not chosen:
            return scores, ()
        window = busiest_window(photo)
        return scores, tuple(name for name in chosen if name in NOT_ASKED or self._finds(photo, name, window))

    def _finds(self, photo: Pixels, name: Variant, window: Window) -> bool:
        restored = np.empty((window.height, window.width, 3), photo.dtype)
        runtime = self._runtime(name, photo.shape[0], photo.shape[1])
        self._restore(photo, restored, window, runtime, name in SETS_LIGHT, 1.0, None)
        return is_seen(window.of(photo), restored)

    def _restore(
        self,
        photo: Pixels,
        target: Pixels,
        window: Window,
        runtime: Runtime,
        align: bool,
        strength: float,
        progress: Progress | None,
    ) -> WholePhotoView | None:
        """One variant over the photo; the window's strips go to `target`, which may be the photo itself."""
        views: list[WholePhotoView] = []
        row, columns = 0, slice(window.left, window.left + window.width)
        overlap = self._bundle.manifest.tile_overlap
        strips = restore_strips(
            photo, runtime, overlap, align=align, window=window, progress=progress, show=views.append
        )
        for strip in strips:
            if strength < 1:
                before = to_unit(photo[window.top + row : window.top + row + len(strip), columns])
                strip = before + np.float32(strength) * (strip - before)
            target[row : row + len(strip)] = from_unit(strip, photo.dtype)
            row += len(strip)
        return views[0] if views else None

    def _runtime(self, variant: Variant, height: int, width: int) -> Runtime:
        if variant not in self._bundle.variants:
            names = ", ".join(self._bundle.variants)
            raise BundleError(f"{self._bundle.path.name} has no variant {variant}; it has {names}")
        tile = self._tile or best_tile(self._bundle, variant, height, width)
        with self._loading:
            if (variant, tile) not in self._runtimes:
                self._runtimes[variant, tile] = open_trusted(
                    self._bundle,
                    variant,
                    tile=tile,
                    threads=self._threads,
                    provider=self._provider,
                    tell=self._tell,
                )
        return self._runtimes[variant, tile]


def best_tile(bundle: "Bundle", variant: Variant, height: int, width: int) -> int:
    """The largest tile size that the variant has which computes less than twice as many pixels as need be.

    Larger ones see more of the photo, so they restore it more evenly: docs/restoring.md has figures.
    """
    overlap = bundle.manifest.tile_overlap
    sizes = [model.tile for model in bundle.manifest.models if model.variant == variant]
    align = variant in SETS_LIGHT
    pixels = {tile: tile_count(height, width, tile, overlap, align=align) * tile**2 for tile in sizes}
    return max(tile for tile in sizes if pixels[tile] < 2 * min(pixels.values()))


def _check_window(window: Window, whole: Window) -> None:
    inside = window.top >= 0 and window.left >= 0 and window.height > 0 and window.width > 0
    if not inside or window.top + window.height > whole.height or window.left + window.width > whole.width:
        raise PhotoError(
            f"the window {window.width}×{window.height} at {window.left},{window.top} is not inside the photo of "
            f"{whole.width}×{whole.height}: choose one that is"
        )


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
