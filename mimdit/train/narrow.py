"""Narrows tuned variants, before they are tuned again: fewer sub-experts, and the time saved spent in the decoder.

    python -m mimdit.train.narrow configs/small/11-denoise.toml runs/small/final/denoise/model --photos PHOTOS \\
        --out runs/small/narrow/denoise/model

What stays is chosen on training photos, degraded as the config of the tuning that follows says.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer

from mimdit.model.checkpoint import load_model, save_model
from mimdit.model.mimdit import MiMDiT
from mimdit.routing.narrow import narrow, with_depths, without_group
from mimdit.routing.plan import Group
from mimdit.script import run
from mimdit.train.config import TrainConfig
from mimdit.train.data import first_batches, photo_cache
from mimdit.train.objective import pixel_loss


def main(
    config: Annotated[Path, typer.Argument(help="TOML of the tuning that follows.")],
    model: Annotated[Path, typer.Argument(help="Model folder of the frozen variant.")],
    photos: Annotated[Path, typer.Option(help="The training photos.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Model folder to write.")],
    experts: Annotated[int, typer.Option(min=1, help="Sub-experts that stay, over all MiM blocks.")] = 5,
    depths: Annotated[tuple[int, int, int], typer.Option(help="Decoder's residual blocks at 1, 1/2, 1/4.")] = (3, 2, 1),
    without: Annotated[Group | None, typer.Option(help="A group that is left out from the start.")] = None,
    recorded: Annotated[int, typer.Option(min=1, help="Batches of examples that the choice is made on.")] = 8,
) -> None:
    """Narrow a frozen variant."""
    settings = TrainConfig.read(config)
    seen = first_batches(photos, photo_cache(out), settings, recorded)

    @torch.inference_mode()
    def loss_of(candidate: MiMDiT) -> float:
        losses = [pixel_loss(candidate(batch.image, batch.photo), batch.truth) for batch in seen]
        return float(torch.stack(losses).mean())

    whole = load_model(model).eval()
    typer.echo(f"all: loss {loss_of(whole):.5f}", err=True)
    if without is not None:
        whole = without_group(whole, without)
    smaller = narrow(whole, experts, loss_of, lambda line: typer.echo(line, err=True))
    save_model(with_depths(smaller, depths), out)
    typer.echo(out)


if __name__ == "__main__":
    run(main)
