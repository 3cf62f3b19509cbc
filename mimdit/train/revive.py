"""Wakes the dead units of a network (`mimdit.train.units`) before it is tuned.

    python -m mimdit.train.revive configs/small/20-deblur.toml runs/small/final/deblur/model --photos PHOTOS \\
        --out runs/small/awake/deblur/model

Their weights are drawn anew, so that they let half of what they see through, and what follows them begins at zero: the
network restores as before, and has them to learn with. Which are dead is seen on training photos, degraded as the
config of the tuning says.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

from mimdit.model.checkpoint import load_model, save_model
from mimdit.model.mimdit import MiMDiT
from mimdit.script import run
from mimdit.train.config import TrainConfig
from mimdit.train.data import Batch, first_batches, photo_cache
from mimdit.train.units import Units, watched

_FAINT = 0.02  # length of new weights, to the living ones', where nothing that follows can begin at zero


@torch.no_grad()
def revive(model: MiMDiT, seen: Sequence[Batch], seed: int = 0) -> dict[str, tuple[int, int]]:
    """Wake the dead units, in place; name of the layer → how many of its units were dead, and how many there are."""
    generator = torch.Generator().manual_seed(seed)
    before = _watch(model, seen)
    for units in before.values():
        _wake(units, generator)
    for name, units in _watch(model, seen).items():
        if before[name].dead.any():
            units.layer.bias[before[name].dead] -= units.mean[before[name].dead]  # pyright: ignore
    return {name: (int(units.dead.sum()), len(units.dead)) for name, units in before.items()}


def _watch(model: MiMDiT, seen: Sequence[Batch]) -> dict[str, Units]:
    with watched(model) as units:
        for batch in seen:
            model(batch.image, batch.photo)
    return units


def _wake(units: Units, generator: torch.Generator) -> None:
    """New weights as long as those of the living, no bias yet; their outgoing weights are zero."""
    weight, dead = units.layer.weight, units.dead
    length = weight[~dead].flatten(1).norm(dim=1).median() if not dead.all() else weight.new_tensor(1.0)
    fresh = torch.randn(weight[dead].shape, generator=generator)
    fresh /= fresh.flatten(1).norm(dim=1)[:, None, None, None]
    weight[dead] = length * fresh * (1 if units.followers else _FAINT)
    units.layer.bias[dead] = 0  # pyright: ignore[reportOptionalSubscript]
    for follower in units.followers:
        follower.weight[:, dead] = 0


def main(
    config: Annotated[Path, typer.Argument(help="TOML of the tuning that follows.")],
    model: Annotated[Path, typer.Argument(help="Model folder of the frozen variant.")],
    photos: Annotated[Path, typer.Option(help="The training photos.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Model folder to write.")],
    recorded: Annotated[int, typer.Option(min=1, help="Batches of examples that units are watched on.")] = 6,
) -> None:
    """Wake the dead units of a network."""
    settings = TrainConfig.read(config)
    seen = first_batches(photos, photo_cache(out), settings, recorded)
    network = load_model(model).eval()
    for name, (dead, units) in revive(network, seen, settings.seed).items():
        typer.echo(f"{name}: {dead} of {units} dead", err=True)
    save_model(network, out)
    typer.echo(out)


if __name__ == "__main__":
    run(main)
