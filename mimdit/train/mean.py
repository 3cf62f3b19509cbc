"""Writes the mean of the weights of several models that one training run leads to: often better than either.

    python -m mimdit.train.mean runs/small/nineteen/mean/model runs/small/nineteen/routers/model \\
        runs/small/nineteen/free/model

What one part of a run wins and another loses, their mean mostly has (2203.05482).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

from mimdit.errors import CheckpointError
from mimdit.model.checkpoint import load_model, save_model
from mimdit.model.mimdit import MiMDiT
from mimdit.script import run


@torch.no_grad()
def mean(models: Sequence[MiMDiT]) -> MiMDiT:
    """The first model with the mean of all their weights, in place. Raises CheckpointError if their shapes differ."""
    first, *others = models
    if any(other.shape != first.shape for other in others):
        raise CheckpointError("models of different shapes have no mean: name models of one training run")
    states = [model.state_dict() for model in models]
    for name, tensor in first.state_dict().items():
        tensor.copy_(torch.stack([state[name] for state in states]).mean(0))
    return first


def main(
    out: Annotated[Path, typer.Argument(help="Model folder to write.")],
    folders: Annotated[list[Path], typer.Argument(help="Two or more model folders of one training run.")],
) -> None:
    """Write the mean of the weights of several models."""
    if len(folders) < 2:
        raise CheckpointError("write OUT and two or more model folders")
    save_model(mean([load_model(folder) for folder in folders]), out)


if __name__ == "__main__":
    run(main)
