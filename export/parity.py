"""Parity: the files, run in their runtime, against the PyTorch graph that they were made from.

The inputs are the same for every target: one tile of every degradation, cut from a drawn scene, and synthetic extremes.
"""

from dataclasses import dataclass

import numpy as np
import torch

from mimdit.errors import BundleError, CheckFailedError
from mimdit.export.graph import DeployableGraph
from mimdit.export.tiles import parity_inputs
from mimdit.manifest import Parity
from mimdit.metrics import psnr
from mimdit.runtimes.base import Runtime
from mimdit.targets import Precision

# dB against the fp32 graph, on every tile. Where few values are off by much, the largest error alone says too little.
# A checkerboard of single pixels came to 43 dB at w8 (`denoise` for LiteRT; photos lose 0.01 dB) and to 19 dB at w8a8,
# where real tiles came to 46 and more.
LOWEST_PSNR: dict[Precision, float] = {"fp16": 55.0, "w8": 40.0, "w8a8": 15.0, "p6": 38.0}

_EDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)  # of the histogram of errors, on 0..1


@dataclass(frozen=True)
class _Difference:
    """What one tile came to: errors f32[1,3,T,T] on 0..1, and PSNR in dB (infinite where all are zero)."""

    tile: str
    errors: np.ndarray
    psnr: float

    @property
    def largest(self) -> float:
        return float(self.errors.max())

    def where(self) -> str:
        """Of the largest error."""
        _, _, y, x = np.unravel_index(self.errors.argmax(), self.errors.shape)
        return f"the tile '{self.tile}' at row {y}, column {x}"


def check_parity(
    graph: DeployableGraph, runtime: Runtime, tolerance: float, *, lowest_psnr: float | None = None
) -> Parity:
    """Compare on every input.

    Raises CheckFailedError with the figures where the largest error passes `tolerance` or a PSNR is below the lowest,
    and where an output breaks the tensor contract.
    """
    found = _differences(graph, runtime)
    worst = max(found, key=lambda difference: difference.largest)
    weakest = min(found, key=lambda difference: difference.psnr)
    histogram = _histogram(found)
    shares = ", ".join(f"{share:.1%} {words}" for words, share in histogram.items())
    title = f"parity of {graph.name} on {runtime.name}/{runtime.unit} failed"
    if not worst.largest <= tolerance:
        raise CheckFailedError(
            f"{title}: max error {worst.largest:.2e} is above {tolerance:.0e}, on {worst.where()}, and would need a "
            f"tolerance of as much; PSNR {weakest.psnr:.1f} dB on '{weakest.tile}'; errors: {shares}"
        )
    if lowest_psnr is not None and weakest.psnr < lowest_psnr:
        raise CheckFailedError(
            f"{title}: PSNR {weakest.psnr:.1f} dB is below {lowest_psnr:.1f} dB, on the tile '{weakest.tile}'; "
            f"max error {worst.largest:.2e} on {worst.where()}; errors: {shares}"
        )
    return Parity(
        status="passed",
        max_error=worst.largest,
        mean_error=float(np.mean([difference.errors.mean() for difference in found])),
        psnr=weakest.psnr if np.isfinite(weakest.psnr) else None,
        tolerance=tolerance,
        where=worst.where(),
        histogram=histogram,
    )


def _differences(graph: DeployableGraph, runtime: Runtime) -> list[_Difference]:
    found: list[_Difference] = []
    for item in parity_inputs(graph.tile):
        with torch.no_grad():
            expected = graph(torch.from_numpy(item.image), torch.from_numpy(item.photo)).numpy()
        try:
            restored = runtime.run(item.image, item.photo)
        except BundleError as error:  # not even a picture
            raise CheckFailedError(f"parity of {graph.name} failed on the tile '{item.name}': {error}") from error
        found.append(_Difference(item.name, np.abs(restored - expected), psnr(restored, expected)))
    return found


def _histogram(found: list[_Difference]) -> dict[str, float]:
    """Share of all values by the size of their error, in words; what does not occur is left out."""
    errors = np.concatenate([difference.errors.ravel() for difference in found])
    counts = np.histogram(errors, (0, *_EDGES, np.inf))[0]
    words = [f"below {edge:.0e}" for edge in _EDGES] + [f"from {_EDGES[-1]:.0e}"]
    return {word: float(count / errors.size) for word, count in zip(words, counts, strict=True) if count}
