"""The network's space: sRGB. From the file's own colours into it and back, without a shift where nothing changed.

A pixel that the restoration left alone keeps its own value, to the bit. Where it changed something, the change is added
to the pixel's colour in sRGB beyond 0..1, so that what sRGB cannot hold, and the network did not see, is still there.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from mimdit.errors import PhotoError
from mimdit.image.colour import ColourSpace, colour_space
from mimdit.pixels import from_unit, to_unit

_ROWS = 64  # converted at a time: float copies of the whole photo would be four times its size


def to_working(pixels: np.ndarray, icc: bytes | None, grey: bool) -> np.ndarray:
    """[H,W,3] as in the file → sRGB-encoded, of the same dtype, f32 in 0..1; the array itself where it is that already.

    Raises PhotoError for pixels that are not a number.
    """
    space = colour_space(icc, grey)
    if space is None and pixels.dtype != np.float32:
        return pixels if pixels.flags.writeable else pixels.copy()
    working = np.empty(pixels.shape, pixels.dtype)
    for rows in _strips(len(pixels)):
        before = _in_srgb(pixels[rows], space)
        if not np.isfinite(before).all():
            raise PhotoError("the photo holds pixels that are not a number: save it without them")
        working[rows] = from_unit(np.clip(before, 0, 1), working.dtype)
    return working


def in_place(pixels: np.ndarray, icc: bytes | None, grey: bool) -> "np.ndarray | InPlace | None":
    """What restoring may read and overwrite instead of a copy in sRGB; None where only a copy will do, for floats."""
    if pixels.dtype == np.float32 or not pixels.flags.writeable:
        return None
    space = colour_space(icc, grey)
    return pixels if space is None else InPlace(pixels, space)


def back_from_working(own: np.ndarray, restored: np.ndarray, icc: bytes | None, grey: bool) -> np.ndarray:
    """The file's pixels and what `to_working` made of them, restored → restored pixels as in the file, [H,W,3].

    The result takes the place of `restored` in memory: of 100 megapixels of 16 bits a copy would be 600 MB.
    """
    if restored.shape != own.shape or restored.dtype != own.dtype:
        raise ValueError(f"expected {own.dtype}{list(own.shape)}, found {restored.dtype}{list(restored.shape)}")
    space = colour_space(icc, grey)
    if space is None and own.dtype != np.float32:
        return restored
    for rows in _strips(len(own)):
        restored[rows] = _back(own[rows], restored[rows], space)
    return restored


def _back(own: np.ndarray, restored: np.ndarray, space: ColourSpace | None) -> np.ndarray:
    """Rows of the file's pixels, and restored in sRGB → restored as in the file."""
    before = _in_srgb(own, space)
    seen = np.clip(before, 0, 1)
    if own.dtype != np.float32:  # the network saw whole levels
        seen = to_unit(from_unit(seen, own.dtype))
    change = to_unit(restored) - seen
    after = before + change
    if space is not None:
        after = space.from_srgb(after)
    after = np.where(change.any(-1, keepdims=True), after, to_unit(own))
    return after if own.dtype == np.float32 else from_unit(np.clip(after, 0, 1), own.dtype)


class InPlace:
    """An integer photo [H,W,3] of another space as the network sees it, converted as it is read and as it is written.

    Of 100 megapixels of 16 bits a second copy in sRGB would be 600 MB. Writing changes the photo's own pixels, as
    `back_from_working` does, so each row is to be written once, after it was last read.
    """

    def __init__(self, own: np.ndarray, space: ColourSpace):
        self._own = own
        self.shape: tuple[int, ...] = own.shape
        self.dtype: np.dtype[Any] = own.dtype
        self._space = space

    def __len__(self) -> int:
        return len(self._own)

    def __getitem__(self, place: Any) -> np.ndarray:
        return from_unit(np.clip(self._space.to_srgb(self._own[place]), 0, 1), self.dtype)

    def __setitem__(self, place: slice, restored: np.ndarray) -> None:
        own = self._own[place]
        for rows in _strips(len(own)):  # of a broad strip of tiles the floats in between would be 400 MB
            own[rows] = _back(own[rows], restored[rows], self._space)


def _in_srgb(pixels: np.ndarray, space: ColourSpace | None) -> np.ndarray:
    return to_unit(pixels) if space is None else space.to_srgb(pixels)


def _strips(height: int) -> Iterator[slice]:
    return (slice(top, top + _ROWS) for top in range(0, height, _ROWS))
