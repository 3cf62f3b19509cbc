"""Photos that are displaced against their truth by whole pixels: the shift under which they agree best.

A blur kernel whose centre of mass does not lie in its middle moves the photo. Without a search, a restorer that
sharpens perfectly would be marked down for the displacement that it was given.
"""

import numpy as np

from mimdit.errors import PhotoError

__all__ = ["Shift", "aligned"]

Shift = tuple[int, int]  # px (down, right) by which the photo is displaced


def aligned(photo: np.ndarray, truth: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray, Shift]:
    """[H,W,3] of one shape → the two cropped to [H−2·reach,W−2·reach,3] where they agree best, and the shift.

    The truth is always cropped alike, by `reach` at every border: all shifts are judged on the same of its pixels.
    Raises PhotoError where no pixels would be left.
    """
    height, width = truth.shape[:2]
    if min(height, width) <= 2 * reach:
        raise PhotoError(f"expected more than {2 * reach} px a side to align by ±{reach}, found {width}×{height}")

    def crop(pixels: np.ndarray, down: int, right: int) -> np.ndarray:
        return pixels[reach + down : height - reach + down, reach + right : width - reach + right]

    inner = crop(truth, 0, 0)
    wanted = inner.astype(np.float32)
    shifts = [(down, right) for down in range(-reach, reach + 1) for right in range(-reach, reach + 1)]
    # The shortest shift first, so that a flat photo, which agrees under all of them, stays where it is.
    shifts.sort(key=lambda shift: shift[0] ** 2 + shift[1] ** 2)
    best = min(shifts, key=lambda shift: float(np.square(crop(photo, *shift) - wanted).mean(dtype=np.float64)))
    return crop(photo, *best), inner, best
