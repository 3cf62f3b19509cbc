"""What holding tiles to the reduced photo gains and costs: each variant on its degradations, with and without.

    python -m mimdit.benchmarks.view_cost --photos DIR

The photos are those that training keeps for validation, so the choice (`mimdit.targets.SETS_LIGHT`) is made on none of
the public test. Writes a Markdown table to stdout.
"""

import tempfile
from functools import cache, partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track

from mimdit.benchmarks.table import TableContent, markdown_lines
from mimdit.bundle import Bundle, open_bundle
from mimdit.degrade import degrade
from mimdit.metrics import psnr
from mimdit.runtimes import open_runtime
from mimdit.runtimes.restore import best_tile
from mimdit.runtimes.tiler import restore_strips
from mimdit.script import run
from mimdit.targets import VARIANT_DEGRADATIONS, Degradation, Variant

_ROWS = 640  # px; more would only take longer


def cost(bundle: Bundle, photos: list[np.ndarray], threads: int) -> TableContent:
    """Mean PSNR over the photos, u8[H,W,3], each degraded with a seed of its own."""
    rows = []
    pairs: list[tuple[Variant, Degradation]] = [
        (variant, kind) for variant in bundle.variants for kind in VARIANT_DEGRADATIONS[variant]
    ]
    for variant, kind in track(pairs, "variants", console=Console(stderr=True), transient=True):
        opened = cache(partial(open_runtime, bundle, variant, threads=threads))
        found = []
        for seed, photo in enumerate(photos):
            truth = photo.astype(np.float32) / 255
            runtime = opened(tile=best_tile(bundle, variant, *truth.shape[:2]))
            degraded = degrade(truth, kind, np.random.default_rng(seed)).image
            overlap = bundle.manifest.tile_overlap
            restored = (
                np.concatenate(list(restore_strips(degraded, runtime, overlap, align=align))) for align in (True, False)
            )
            found.append([psnr(pixels, truth) for pixels in restored])
        held, free = np.mean(found, 0)
        gains = np.diff(found)[:, 0]
        rows.append((variant, kind, f"{held:.2f}", f"{free:.2f}", f"{gains.min():+.2f} to {gains.max():+.2f}"))
    return TableContent("", ("variant", "degradation", "held to the view", "not held", "single photos"), tuple(rows))


def main(
    photos: Annotated[Path, typer.Option(help="The folder of photos that was trained on.")],
    bundle: Annotated[Path | None, typer.Option(help="By default the embedded one.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Photos that training kept for validation.")] = 8,
    threads: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """Restore validation photos with and without the whole-photo view and compare."""
    from mimdit.train.data import PhotoScales

    with tempfile.TemporaryDirectory() as cache:
        scales = PhotoScales(photos, Path(cache))
        _, held_out = scales.split(count)
        chosen = [np.array(scales.scales[i][0][:_ROWS]) for i in held_out]
    typer.echo("\n".join(markdown_lines(cost(open_bundle(bundle), chosen, threads))))


if __name__ == "__main__":
    run(main)
