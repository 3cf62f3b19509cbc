"""What models win in each kind of blur, on photos that training kept for validation.

    python -m mimdit.benchmarks.blurs MODEL... --photos DIR

Training draws blur of all kinds at once, and its validation says little of each. A Markdown table goes to stdout.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track

from mimdit.benchmarks.photo_tiles import photo_tiles
from mimdit.benchmarks.table import TableContent, markdown_lines
from mimdit.benchmarks.torch_models import TorchRuntime, restore_photo
from mimdit.degrade import defocus_blur, gaussian_blur, gaussian_noise, motion_blur
from mimdit.degrade.blur import blur, motion_kernel
from mimdit.degrade.light import to_bytes
from mimdit.metrics import psnr
from mimdit.model.checkpoint import load_model
from mimdit.script import run
from mimdit.train.config import VALIDATION_PHOTOS
from mimdit.train.data import PhotoScales, photo_cache

_NOISE = 1  # of 255; standard deviation of what the camera adds
_BLURS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "shake": lambda photo, rng: blur(photo, _shake(rng)),
    "encoded shake": lambda photo, rng: blur(photo, _shake(rng), linear=False),
    "line": lambda photo, rng: motion_blur(photo, rng.uniform(4, 26), rng.uniform(0, 360), 0, rng),
    "defocus": lambda photo, rng: defocus_blur(photo, rng.uniform(1, 6)),
    "gaussian": lambda photo, rng: gaussian_blur(photo, rng.uniform(0.8, 4)),
}


def blurred(truth: np.ndarray, kind: str, seed: int) -> np.ndarray:
    """f32[H,W,3] in 0..1 → u8[H,W,3], blurred by a kernel drawn from `seed`, with a little noise.

    In linear light; of an encoded shake in encoded values, as data sets without a tone curve are (`deblur_levin`).
    """
    rng = np.random.default_rng(seed)
    return to_bytes(gaussian_noise(_BLURS[kind](truth, rng), _NOISE, rng))


def _shake(rng: np.random.Generator) -> np.ndarray:
    return motion_kernel(rng.uniform(6, 26), rng.uniform(0, 360), rng.uniform(30, 180), rng)


def main(
    models: Annotated[list[Path], typer.Argument(help="Model folders of `deblur`, that restore in one step.")],
    photos: Annotated[Path, typer.Option(help="The folder of photos that they were trained on.")],
    count: Annotated[int, typer.Option(min=1, help="Photos that training kept for validation.")] = VALIDATION_PHOTOS,
    each: Annotated[int, typer.Option(min=1, help="Tiles of each of their scales.")] = 3,
) -> None:
    """Compare what models win in each kind of blur."""
    scales = PhotoScales(photos, photo_cache(models[0]))
    truths = photo_tiles(scales, scales.split(count)[1], each)
    pairs = {kind: [(truth, blurred(truth, kind, seed)) for seed, truth in enumerate(truths)] for kind in _BLURS}
    rows = []
    for path in track(models, "models", console=Console(stderr=True), transient=True):
        runtime = TorchRuntime(load_model(path), steps=1)
        gains = []
        for kind in _BLURS:
            won = [psnr(restore_photo(i, runtime, "deblur") / 255, t) - psnr(i / 255, t) for t, i in pairs[kind]]
            gains.append(f"{np.mean(won):+.2f}")
        rows.append((str(path), str(len(truths)), *gains))
    header = ("model", "tiles", *(f"dB won, {kind}" for kind in _BLURS))
    typer.echo("\n".join(markdown_lines(TableContent("", header, tuple(rows)))))


if __name__ == "__main__":
    run(main)
