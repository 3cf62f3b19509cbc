"""Parity: the files, run in their runtime, against the PyTorch graph that they were made from.

The inputs are the same for every target: one tile of every degradation, cut from a drawn scene, and synthetic extremes.
"""

import zlib
from dataclasses import dataclass

import numpy as np
import torch

from mimdit.degrade import degrade
from mimdit.errors import BundleError, CheckFailedError
from mimdit.export.graph import DeployableGraph
from mimdit.manifest import Parity
from mimdit.metrics import psnr
from mimdit.runtimes.base import Runtime
from mimdit.targets import DEGRADATIONS, Precision
from mimdit.views import photo_view

Array = np.ndarray

# dB against the fp32 graph, on every tile. Where few values are off by much, the largest error alone says too little.
# At w8a8 a checkerboard of single pixels came to 19 dB, real tiles to 46 and more.
LOWEST_PSNR: dict[Precision, float] = {"fp16": 55.0, "w8": 45.0, "w8a8": 15.0}


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
        photo = degrade(_scene(2 * tile, rng), kind, rng).image
        corner = tile // 2
        inputs.append(_input(kind, photo[corner : corner + tile, corner : corner + tile], photo))
    return inputs + [_input(name, photo, photo) for name, photo in _extremes(tile).items()]


def check_parity(
    graph: DeployableGraph, runtime: Runtime, tolerance: float, *, lowest_psnr: float | None = None
) -> Parity:
    """Compare on every input.

    Raises CheckFailedError with the figures where the largest error passes `tolerance` or a PSNR is below the lowest,
    and where an output breaks the tensor contract.
    """
    errors: list[Array] = []
    decibels: list[float] = []
    names: list[str] = []
    for item in parity_inputs(graph.tile):
        with torch.no_grad():
            expected = graph(torch.from_numpy(item.image), torch.from_numpy(item.photo)).numpy()
        try:
            found = runtime.run(item.image, item.photo)
        except BundleError as error:  # not even a picture
            raise CheckFailedError(f"parity of {graph.name} failed on the tile '{item.name}': {error}") from error
        errors.append(np.abs(found - expected))
        decibels.append(psnr(found, expected))
        names.append(item.name)
    largest = np.array([error.max() for error in errors])
    worst = int(largest.argmax())
    if not largest[worst] <= tolerance:
        _, y, x = np.unravel_index(errors[worst][0].argmax(), errors[worst].shape[1:])
        raise CheckFailedError(
            f"parity of {graph.name} on {runtime.name} failed: max error {largest[worst]:.2e} is above "
            f"{tolerance:.0e}, on the tile '{names[worst]}' at row {y}, column {x}; "
            f"errors: {_histogram(np.concatenate(errors))}"
        )
    weakest = int(np.argmin(decibels))
    if lowest_psnr is not None and decibels[weakest] < lowest_psnr:
        raise CheckFailedError(
            f"parity of {graph.name} on {runtime.name} failed: PSNR {decibels[weakest]:.1f} dB is below "
            f"{lowest_psnr:.1f} dB, on the tile '{names[weakest]}'; errors: {_histogram(np.concatenate(errors))}"
        )
    finite = [value for value in decibels if np.isfinite(value)]
    return Parity(
        status="passed",
        max_error=float(largest[worst]),
        mean_error=float(np.mean([error.mean() for error in errors])),
        psnr=min(finite) if finite else None,
        tolerance=tolerance,
    )


def _histogram(errors: Array) -> str:
    edges = [0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, np.inf]
    shares = np.histogram(errors, edges)[0] / errors.size
    return ", ".join(f"{share:.1%} below {edge:.0e}" for share, edge in zip(shares, edges[1:-1], strict=False) if share)


def _scene(size: int, rng: np.random.Generator) -> Array:
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
    }
    return {name: np.repeat(plane[..., None], 3, 2) for name, plane in planes.items()}


def _input(name: str, tile: Array, photo: Array) -> ParityInput:
    image = np.ascontiguousarray(tile.transpose(2, 0, 1), np.float32)[None]
    return ParityInput(name, image, photo_view(photo))
