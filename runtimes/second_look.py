"""Whether a variant finds anything to restore: asked of it before `auto` uses it on a whole photo.

A variant has seen clean photos in training, and leaves them as they are. With all that it knows of what it restores, it
tells a clean photo from a degraded one better than the dispatcher does.
"""

import numpy as np

from mimdit.metrics import FAINT_DB, psnr
from mimdit.pixels import Pixels, to_unit
from mimdit.runtimes.tiler import Window
from mimdit.targets import Variant
from mimdit.views import CROP, CROPS, crop_origins, photo_crops

# What is dark it makes brighter, be it a night that shall stay one: of whether a photo is too dark it knows nothing.
NOT_ASKED: tuple[Variant, ...] = ("lowlight",)
_SIDE = 128  # px


def busiest_window(photo: Pixels) -> Window:
    """[H,W,3] → its 128×128 px, or what there is of them, around the crop of the dispatcher's that has most detail."""
    crops = photo_crops(photo, CROP, CROPS).mean(axis=1)  # [16,64,64]
    detail = np.abs(np.diff(crops, axis=1)).mean((1, 2)) + np.abs(np.diff(crops, axis=2)).mean((1, 2))
    top, left = crop_origins(photo.shape[0], photo.shape[1])[int(detail.argmax())]
    height, width = (min(_SIDE, size) for size in photo.shape[:2])
    top = min(max(0, top + (CROP - height) // 2), photo.shape[0] - height)
    left = min(max(0, left + (CROP - width) // 2), photo.shape[1] - width)
    return Window(top, left, height, width)


def is_seen(before: np.ndarray, after: np.ndarray) -> bool:
    """Two [H,W,3] of one dtype: whether somebody who knows the one would see a change in the other."""
    return psnr(to_unit(before), to_unit(after)) < FAINT_DB
