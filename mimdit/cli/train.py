"""`mimdit train`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["train"]

WayName = Literal["fp32 eager", "bf16 eager", "fp32 compiled", "bf16 compiled"]

ConfigOption = Annotated[Path, typer.Option(help="TOML of the stage, e.g. configs/small/2-reference.toml.")]
PhotosOption = Annotated[Path, typer.Option(help="Folder of clean photos, .jpg or .png; degradations are synthesised.")]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="Folder of the run: model, log, sheets, state to resume.")]
WayOption = Annotated[
    WayName | None,
    typer.Option(help="Fix how a step is computed. By default all are timed at the start and the fastest is kept."),
]


def train(config: ConfigOption, photos: PhotosOption, out: OutOption, way: WayOption = None) -> None:
    """Train one stage of a model: codec, reference or student.

    The config's `objective` names the stage: `codec` (photo to latent and back), `flow` (the reference: rectified flow
    on the frozen codec's latent, many steps), `distill` (a student of few steps). `start` names the model folder of the
    stage before; without it a `preset` (nano, small, sd35-medium) begins afresh.

    The same command goes on with a run that was killed, and ends with the very weights that it would have had. Watch
    OUT/log.jsonl (loss, and PSNR per degradation on photos kept out of training) and OUT/sheets/*.png (degraded,
    restored, truth). The result is OUT/model, a diffusers folder, printed on stdout.
    """
    from mimdit.train.config import TrainConfig
    from mimdit.train.loop import train as run

    typer.echo(run(TrainConfig.read(config), photos, out, way=way))
