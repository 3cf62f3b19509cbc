"""What a trained model has learned by heart: what it wins on photos that it was trained on and on others, by colour.

    python -m mimdit.benchmarks.overfit MODEL... --photos DIR --kind jpeg

Different photos are differently hard to restore. But luma and chroma are hard together: a model that wins more in the
chroma of its own photos than in others', when in luma it does not, remembers colours. A Markdown table goes to stdout.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track

from mimdit.benchmarks.photo_tiles import photo_tiles
from mimdit.benchmarks.table import TableContent, markdown_lines
from mimdit.benchmarks.torch_models import TorchRuntime, restore_photo
from mimdit.degrade import degrade
from mimdit.degrade.light import to_bytes
from mimdit.errors import PhotoError
from mimdit.metrics import psnr
from mimdit.model.checkpoint import load_model
from mimdit.model.mimdit import MiMDiT
from mimdit.script import run
from mimdit.targets import Degradation
from mimdit.train.augment import TO_YCC
from mimdit.train.config import VALIDATION_PHOTOS
from mimdit.train.data import PhotoScales, photo_cache

_COLOURFUL = 0.02  # standard deviation of both chromas; tiles without colour say nothing about it


def won(model: MiMDiT, truths: list[np.ndarray], kind: Degradation) -> np.ndarray:
    """f64[4]: mean gain in dB in RGB, luma and the two chromas; truth n, f32[H,W,3], is degraded with seed n."""
    plan = model.shape.plan
    variant = plan.variant if plan else "general"
    runtime = TorchRuntime(model, steps=1)
    found = []
    for seed, truth in enumerate(truths):
        degraded = degrade(truth, kind, np.random.default_rng(seed)).image
        restored = restore_photo(to_bytes(degraded), runtime, variant) / np.float32(255)
        planes = [(p, (p @ TO_YCC.T).transpose(2, 0, 1)) for p in (truth, degraded, restored)]
        (rgb, ycc), (rgb_before, ycc_before), (rgb_after, ycc_after) = planes
        pairs = [(rgb, rgb_before, rgb_after), *zip(ycc, ycc_before, ycc_after, strict=True)]
        found.append([psnr(after, wanted) - psnr(before, wanted) for wanted, before, after in pairs])
    return np.mean(found, 0)


def _coloured(photos: PhotoScales, indices: list[int], each: int) -> list[np.ndarray]:
    """Of `photo_tiles` those that have colours. Raises PhotoError where none has."""
    tiles = photo_tiles(photos, indices, each)
    found = [tile for tile in tiles if (tile @ TO_YCC[1:].T).std((0, 1)).min() > _COLOURFUL]
    if not found:
        raise PhotoError("none of the photos has colours to remember: name others")
    return found


def main(
    models: Annotated[list[Path], typer.Argument(help="Model folders that restore in one step.")],
    photos: Annotated[Path, typer.Option(help="The folder of photos that they were trained on.")],
    kind: Annotated[Degradation, typer.Option(help="The degradation, as training draws it.")] = "jpeg",
    count: Annotated[int, typer.Option(min=1, help="Photos that training kept for validation.")] = VALIDATION_PHOTOS,
) -> None:
    """Compare what models win on their own photos and on others."""
    scales = PhotoScales(photos, photo_cache(models[0]))
    trained, held_out = scales.split(count)
    sets = {"trained on": _coloured(scales, trained, 1), "held out": _coloured(scales, held_out, 7)}
    rows = []
    for path in track(models, "models", console=Console(stderr=True), transient=True):
        model = load_model(path)
        for name, truths in sets.items():
            gains = won(model, truths, kind)
            rows.append((str(path), name, str(len(truths)), *(f"{gain:+.2f}" for gain in gains)))
    header = ("model", "photos", "tiles", "dB won in RGB", "luma", "blue chroma", "red chroma")
    typer.echo("\n".join(markdown_lines(TableContent("", header, tuple(rows)))))


if __name__ == "__main__":
    run(main)
