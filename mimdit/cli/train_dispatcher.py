"""`mimdit train-dispatcher`."""

from pathlib import Path
from typing import Annotated

import typer

from mimdit.errors import MissingPackageError

__all__ = ["train_dispatcher"]

PhotosOption = Annotated[Path, typer.Option(help="Folder of clean photos, .jpg or .png; degradations are synthesised.")]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="Folder of the run: model, log, examples.")]


def train_dispatcher(
    photos: PhotosOption,
    out: OutOption,
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps of each member.")] = 2500,
) -> None:
    """Train the dispatcher, the small network that looks at a photo and names its variant.

    Takes half an hour on one core; the same command goes on with a run that was killed. Each of its six members learns
    without a sixth of the photos, and scores are calibrated on those, so that few of the clean ones are called degraded
    (a variant that is named looks again). The result is OUT/model, printed on stdout; OUT/log.jsonl ends with the share
    of each kind of degradation that is recognised.
    """
    try:
        from mimdit.train.dispatcher import DispatcherRun
        from mimdit.train.dispatcher import train_dispatcher as run
    except ModuleNotFoundError as error:
        raise MissingPackageError(error.name or "torch", "train") from None
    folder, config = run(DispatcherRun(steps=steps), photos, out)
    typer.echo(f"{config.clean_flagged:.1%} of the clean photos flagged that scores were calibrated on", err=True)
    typer.echo(folder)
