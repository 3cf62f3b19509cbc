"""What latents carry: the student's, the truth's, and those that its codec would have decoded to the truth.

    python -m mimdit.benchmarks.latents STUDENT --reference MODEL --reference ... --photos DIR --runs runs/small/codec

A reference that is trained towards a latent restores no more than that latent decodes to. PSNR on tiles of photos that
training kept for validation, per degradation; a Markdown table goes to stdout.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import track
from torch import Tensor

from mimdit.benchmarks.ablations import Restore, as_taken, decibels, examples_of, whole
from mimdit.benchmarks.results import STEPS
from mimdit.benchmarks.table import TableContent, markdown_lines
from mimdit.model.checkpoint import load_model
from mimdit.model.mimdit import MiMDiT
from mimdit.script import run
from mimdit.targets import DEGRADATIONS
from mimdit.train.config import VALIDATION_PHOTOS
from mimdit.train.data import Batch, PhotoScales, photo_cache
from mimdit.train.inversion import inverted


def main(
    student: Annotated[Path, typer.Argument(help="Model folder of a one-step student.")],
    photos: Annotated[Path, typer.Option(help="The folder of photos that it was trained on.")],
    runs: Annotated[Path, typer.Option(help="Folder of a training run, beside which decoded photos are kept.")],
    reference: Annotated[list[Path] | None, typer.Option(help="Model folder of a reference on its codec.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Photos that training kept for validation.")] = VALIDATION_PHOTOS,
    each: Annotated[int, typer.Option(min=1, help="Tiles of every degradation.")] = 12,
    tile: Annotated[int, typer.Option(min=64, help="Side of a tile, px.")] = 256,
) -> None:
    """Compare what is decoded from which latent, and what references restore."""
    scales = PhotoScales(photos, photo_cache(runs))
    examples = examples_of(scales, scales.split(count)[1], tile, each, seed=2)
    model = load_model(student).eval().requires_grad_(False)
    ways: dict[str, tuple[MiMDiT, Restore]] = {
        "degraded photo": (model, as_taken),
        "student's latent": (model, whole),
        "truth's latent": (model, truths_latent),
        **{f"inverted, steps: {steps}": (model, partial(inverted_latent, steps=steps)) for steps in (1, 2, 8)},
    }
    for folder in reference or ():
        trained = load_model(folder).eval()
        ways |= {f"{folder}, steps: {steps}": (trained, partial(whole, steps=steps)) for steps in STEPS}
    rows = []
    for name, (net, restore) in track(ways.items(), "latents", console=Console(stderr=True), transient=True):
        found = decibels(net, examples, restore)
        rows.append((name, *(f"{found[kind]:.2f}" for kind in DEGRADATIONS)))
    typer.echo("\n".join(markdown_lines(TableContent("", ("PSNR, dB", *DEGRADATIONS), tuple(rows)))))


def truths_latent(model: MiMDiT, batch: Batch) -> Tensor:
    """The codec decodes the truth's own latent, beside the degraded photo's skips."""
    degraded, skips = model.codec.encode(batch.image)
    clean, _ = model.codec.encode(batch.truth)
    return model.codec.decode(clean, degraded, batch.image, skips).clamp(0, 1)


def inverted_latent(model: MiMDiT, batch: Batch, steps: int) -> Tensor:
    """The codec decodes what it would have decoded to the truth, by so many steps of descent."""

    def decode(latent: Tensor) -> Tensor:
        return model.codec.decode(latent, degraded, batch.image, skips)

    with torch.inference_mode(False), torch.no_grad():  # descent needs gradients of what is encoded here
        degraded, skips = model.codec.encode(batch.image)
        latent = model.sample(model.guide(batch.image, degraded, batch.photo))
        return decode(inverted(decode, latent, batch.truth, steps)).clamp(0, 1)


if __name__ == "__main__":
    run(main)
