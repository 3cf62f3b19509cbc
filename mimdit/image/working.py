"""The network's space: sRGB. From the file's own colours into it and back, without a shift where nothing changed.

A pixel that the restoration left alone keeps its own value, to the bit. Where it changed something, the change is added
to the pixel's colour in sRGB beyond 0..1, so that what sRGB cannot hold, and the network did not see, is still there.
"""

from collections.abc import Iterator

import numpy as np

from mimdit.errors import PhotoError
from mimdit.image.colour import ColourSpace, colour_space
from mimdit.pixels import from_unit, to_unit

_ROWS = 128  # converted at a time: float copies of the whole photo would be four times its size


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
        before = _in_srgb(own[rows], space)
        seen = np.clip(before, 0, 1)
        if own.dtype != np.float32:  # the network saw whole levels
            seen = to_unit(from_unit(seen, own.dtype))
        change = to_unit(restored[rows]) - seen
        after = before + change
        if space is not None:
            after = space.from_srgb(after)
        after = np.where(change.any(-1, keepdims=True), after, to_unit(own[rows]))
        restored[rows] = after if own.dtype == np.float32 else from_unit(np.clip(after, 0, 1), own.dtype)
    return restored


def _in_srgb(pixels: np.ndarray, space: ColourSpace | None) -> np.ndarray:
    return to_unit(pixels) if space is None else space.to_srgb(pixels)


def _strips(height: int) -> Iterator[slice]:
    return (slice(top, top + _ROWS) for top in range(0, height, _ROWS))
