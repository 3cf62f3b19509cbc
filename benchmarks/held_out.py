"""What models restore of every degradation of the results page, on photos that training kept for validation.

    python -m mimdit.benchmarks.held_out MODEL... --photos DIR

For choices that public test images are not to be asked for. PSNR in dB, a Markdown table, goes to stdout; of clean
photos it is what they have of themselves afterwards.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track

from mimdit.benchmarks.datasets import CLEAN
from mimdit.benchmarks.photo_tiles import photo_tiles
from mimdit.benchmarks.quality import decibels
from mimdit.benchmarks.synthetic import SYNTHETIC, degraded
from mimdit.benchmarks.table import TableContent, markdown_lines
from mimdit.benchmarks.torch_models import TorchRuntime, restore_photo
from mimdit.degrade.light import to_bytes
from mimdit.model.checkpoint import load_model
from mimdit.script import run
from mimdit.targets import Variant
from mimdit.train.config import VALIDATION_PHOTOS
from mimdit.train.data import PhotoScales, photo_cache


def main(
    models: Annotated[list[Path], typer.Argument(help="Model folders, dynamic or frozen, that restore in one step.")],
    photos: Annotated[Path, typer.Option(help="The folder of photos that they were trained on.")],
    variant: Annotated[Variant, typer.Option(help="Tiles are joined as this variant's are.")] = "general",
    count: Annotated[int, typer.Option(min=1, help="Photos that training kept for validation.")] = VALIDATION_PHOTOS,
    each: Annotated[int, typer.Option(min=1, help="Tiles of each of their scales.")] = 1,
) -> None:
    """Compare what models restore of each degradation."""
    scales = PhotoScales(photos, photo_cache(models[0]))
    truths = [to_bytes(tile) for tile in photo_tiles(scales, scales.split(count)[1], each)]
    groups = {CLEAN: truths} | {
        kind.name: [degraded(truth, kind, str(place)) for place, truth in enumerate(truths)] for kind in SYNTHETIC
    }
    columns = [[_mean(taken, truths) for taken in groups.values()]]
    for path in track(models, "models", console=Console(stderr=True), transient=True):
        runtime = TorchRuntime(load_model(path), steps=1)
        columns.append(
            [_mean([restore_photo(photo, runtime, variant) for photo in taken], truths) for taken in groups.values()]
        )
    rows = tuple((name, *(f"{value:.2f}" for value in found)) for name, *found in zip(groups, *columns, strict=True))
    header = (f"PSNR, dB, {len(truths)} tiles", "input", *map(str, models))
    typer.echo("\n".join(markdown_lines(TableContent("", header, rows))))


def _mean(photos: list[np.ndarray], truths: list[np.ndarray]) -> float:
    return float(np.mean([decibels(a, b) for a, b in zip(photos, truths, strict=True)]))


if __name__ == "__main__":
    run(main)
