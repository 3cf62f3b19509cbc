"""Pixel values: what a photo array may be, integers ↔ float32 in 0..1, and the mirror behind every border."""

from typing import Any, Protocol

import numpy as np

from mimdit.errors import PhotoError

DTYPES = (np.uint8, np.uint16, np.float32)


class Pixels(Protocol):
    """What restoring asks of a photo [H,W,3]: parts of it as arrays. An array is that itself.

    `mimdit.image.working.InPlace` is another, which is nowhere held as a whole.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, place: Any, /) -> Any:
        """An array of the part, which may be read only."""
        ...

    def __setitem__(self, place: Any, values: Any, /) -> None: ...


def check_photo(photo: Pixels) -> None:
    """Raises PhotoError unless `photo` is [H,W,3] with at least one pixel and a dtype of `DTYPES`."""
    if len(photo.shape) != 3 or photo.shape[2] != 3 or 0 in photo.shape:
        raise PhotoError(f"a photo array has the shape [H,W,3] with H and W at least 1, not {list(photo.shape)}")
    if photo.dtype not in DTYPES:
        known = ", ".join(np.dtype(d).name for d in DTYPES)
        raise PhotoError(f"a photo array is one of {known}, not {photo.dtype}: convert it, floats to 0..1")


def to_unit(pixels: np.ndarray) -> np.ndarray:
    """Any of `DTYPES` → f32 in 0..1, same shape. Full scale is 1; float32 is handed through, not copied."""
    if pixels.dtype == np.float32:
        return pixels
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def from_unit(pixels: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """f32 in 0..1 → `dtype`, rounded to the nearest level: the inverse of `to_unit`."""
    if dtype == np.float32:
        return pixels
    return np.rint(pixels * np.float32(np.iinfo(dtype).max)).astype(dtype)


def mirror(length: int, size: int) -> np.ndarray:
    """int[length]: which of `size` pixels stands at each place of a line continued by reflection.

    The edge pixel is not repeated (2 1 0 1 2 …), the reflection is itself reflected when `length` is long, and a
    single pixel repeats. An index, not a padded copy: a 100-megapixel photo is never held twice.
    """
    period = max(2 * (size - 1), 1)
    place = np.arange(length) % period
    return np.minimum(place, period - place)
