"""The tiles that files are checked on, the same for every target and on every machine: seeded by their names.

One tile of every degradation, cut from a drawn scene, and synthetic extremes.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from mimdit.degrade import degrade
from mimdit.targets import DEGRADATIONS
from mimdit.views import photo_view

Array = np.ndarray


@dataclass(frozen=True)
class ParityInput:
    """One tile f32[1,3,T,T] with its photo view f32[1,3,64,64]."""

    name: str
    image: Array
    photo: Array


def parity_inputs(tile: int) -> list[ParityInput]:
    """Seeded by their names: the same on every machine and for every target."""
    inputs: list[ParityInput] = []
    for kind in DEGRADATIONS:
        rng = np.random.default_rng(zlib.crc32(kind.encode()))
        photo = degrade(scene(2 * tile, rng), kind, rng).image
        corner = tile // 2
        inputs.append(_input(kind, photo[corner : corner + tile, corner : corner + tile], photo))
    return inputs + [_input(name, photo, photo) for name, photo in _extremes(tile).items()]


def scene(size: int, rng: np.random.Generator) -> Array:
    """A drawn scene f32[size,size,3]: a graded sky, discs and bars with hard edges, and fine texture."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    scene = rng.uniform(0.2, 0.6, 3) + y[..., None] * rng.uniform(-0.2, 0.4, 3)
    for _ in range(12):
        cx, cy, radius = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.03, 0.2)
        inside = np.hypot(x - cx, y - cy) < radius
        if rng.random() < 0.5:
            inside = (np.abs(x - cx) < radius) & (np.abs(y - cy) < radius / 4)
        scene[inside] = rng.uniform(0, 1, 3)
    texture = np.sin(90 * x + 40 * y) * np.sin(70 * y - 30 * x) * (x > 0.5)
    return np.clip(scene + 0.08 * texture[..., None], 0, 1).astype(np.float32)


def _extremes(tile: int) -> dict[str, Array]:
    y, x = np.mgrid[0:tile, 0:tile]
    hot = np.zeros((tile, tile), np.float32)
    hot[tile // 2, tile // 2] = 1
    planes = {
        "black": np.zeros((tile, tile), np.float32),
        "white": np.ones((tile, tile), np.float32),
        "hot pixel": hot,
        "checkerboard": ((x + y) % 2).astype(np.float32),
        "ramp": (x / (tile - 1)).astype(np.float32),
        "ramp down": ((tile - 1 - y) / (tile - 1)).astype(np.float32),
    }
    return {name: np.repeat(plane[..., None], 3, 2) for name, plane in planes.items()}


def _input(name: str, tile: Array, photo: Array) -> ParityInput:
    image = np.ascontiguousarray(tile.transpose(2, 0, 1), np.float32)[None]
    return ParityInput(name, image, photo_view(photo))
