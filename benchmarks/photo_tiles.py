"""Tiles of the training photos to measure models on, as they are: neither scaled nor recoloured."""

import numpy as np

from mimdit.errors import PhotoError
from mimdit.train.data import PhotoScales

_TILE = 256  # px


def photo_tiles(photos: PhotoScales, indices: list[int], each: int) -> list[np.ndarray]:
    """`each` tiles f32[256,256,3] in 0..1 at random places of every photo's smaller scales that are large enough.

    The same ones every time. Raises PhotoError where there are none.
    """
    rng = np.random.default_rng(0)
    tiles = []
    for i in indices:
        large_enough = [photo for photo in photos.scales[i][1:] if min(photo.shape[:2]) >= _TILE]
        for photo in large_enough:
            for _ in range(each):
                top, left = (int(rng.integers(0, size - _TILE + 1)) for size in photo.shape[:2])
                tiles.append(photo[top : top + _TILE, left : left + _TILE].astype(np.float32) / 255)
    if not tiles:
        raise PhotoError(f"none of the photos has {_TILE} px a side when it is reduced: name larger ones")
    return tiles
