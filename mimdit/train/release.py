"""Writes the weights that the repository carries: one student whole, in fp16, everything else as what differs from it.

    python -m mimdit.train.release weights student-1=runs/small/routers/model reference=runs/small/reference2/model \\
        student-2:reference=runs/small/student2/model

The first one named is stored whole; NAME:BASE says that a later one is stored as its difference from another than the
first. Every folder loads as any other: `mimdit evaluate weights/reference --steps 1,8 …`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mimdit.errors import CheckpointError
from mimdit.model.checkpoint import checkpoint_hash, load_model, save_model
from mimdit.model.difference import save_difference
from mimdit.routing.freeze import round_to_half
from mimdit.script import run


def release(out: Path, models: dict[str, Path]) -> None:
    """`models`: NAME or NAME:BASE → model folder, the whole one first. Raises CheckpointError."""
    (first, folder), *others = models.items()
    rounded = {first: round_to_half(load_model(folder))}
    save_model(rounded[first], out / first, half=True)
    for words, path in others:
        name, _, base = words.partition(":")
        base = base or first
        if base not in rounded:
            raise CheckpointError(f"{name}: its base {base} must be named before it")
        rounded[name] = round_to_half(load_model(path))
        save_difference(rounded[name], rounded[base], base, checkpoint_hash(rounded[base]), out / name)


def main(
    out: Annotated[Path, typer.Argument(help="Folder of the weights.")],
    models: Annotated[list[str], typer.Argument(metavar="NAME[:BASE]=FOLDER", help="The whole one first.")],
) -> None:
    """Write the weights that the repository carries."""
    release(out, named_folders(models))


def named_folders(texts: Sequence[str]) -> dict[str, Path]:
    """`NAME=FOLDER` each → name → folder, in their order. Raises CheckpointError."""
    named = [text.partition("=") for text in texts]
    if not named or not all(equals for _, equals, _ in named):
        raise CheckpointError("write NAME=FOLDER for every model")
    return {name: Path(folder) for name, _, folder in named}


if __name__ == "__main__":
    run(main)
