"""`mimdit freeze`."""

from pathlib import Path
from typing import Annotated

import typer

from mimdit.cli.choices import chosen_variants
from mimdit.cli.train import WayOption


def freeze(
    student: Annotated[
        Path, typer.Argument(help="Model folder of the dynamic student, as `mimdit distill` leaves it.")
    ],
    config: Annotated[Path, typer.Option(help="TOML of the fine-tuning, e.g. configs/small/4-variants.toml.")],
    photos: Annotated[Path, typer.Option(help="Folder of clean photos; degradations are synthesised.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for one folder a variant; resumes what lies there.")],
    variant: Annotated[str, typer.Option(help="NAME[,NAME] or all.")] = "all",
    way: WayOption = None,
) -> None:
    """Freeze a student's routing into static variants and fine-tune their experts.

    For each variant: router statistics over photos of its degradations become a routing plan (plan.json: which
    sub-experts stay, their constant weights, what was measured); the others are dropped; what stays is tuned briefly.
    """
    from mimdit.train.config import TrainConfig
    from mimdit.train.variants import make_variant

    settings = TrainConfig.read(config)
    for name in chosen_variants(variant):
        folder = make_variant(
            student, name, photos, out, settings, way=way, tell=lambda line: typer.echo(line, err=True)
        )
        typer.echo(folder)
