"""Collects tuned variants into one folder, as `mimdit freeze` leaves it: weights rounded to fp16 values, `NAME/model`.

    python -m mimdit.train.collect runs/small/final denoise=runs/small/long/denoise/model dehaze=... ...

For variants that were trained further with `mimdit train` after `mimdit freeze`.
"""

from pathlib import Path
from typing import Annotated

import typer

from mimdit.errors import CheckpointError
from mimdit.model.checkpoint import load_model, save_model
from mimdit.routing.freeze import round_to_half
from mimdit.script import run
from mimdit.train.release import named_folders


def collect(out: Path, models: dict[str, Path]) -> None:
    """`models`: variant → model folder. Raises CheckpointError where a model is not that variant, before writing."""
    loaded = {name: load_model(folder) for name, folder in models.items()}
    for name, model in loaded.items():
        if model.shape.plan is None or model.shape.plan.variant != name:
            raise CheckpointError(f"{models[name]} is not a frozen {name}: name each variant's own folder")
    for name, model in loaded.items():
        save_model(round_to_half(model), out / name / "model")


def main(
    out: Annotated[Path, typer.Argument(help="Folder of the variants.")],
    models: Annotated[list[str], typer.Argument(metavar="VARIANT=FOLDER", help="Model folders of tuned variants.")],
) -> None:
    """Collect tuned variants into one folder."""
    collect(out, named_folders(models))


if __name__ == "__main__":
    run(main)
