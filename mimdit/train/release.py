"""Writes the weights that the repository carries: one student whole, in fp16, everything else as what differs from it.

    python -m mimdit.train.release weights student-1=runs/small/routers/model reference=runs/small/reference2/model ...

The first one named is the base. Every folder loads as any other: `mimdit evaluate weights/reference --steps 1,8 …`.
"""

import sys
from pathlib import Path

from mimdit.errors import CheckpointError
from mimdit.model.checkpoint import checkpoint_hash, load_model, save_model
from mimdit.model.difference import save_difference
from mimdit.routing.freeze import round_to_half


def release(out: Path, models: dict[str, Path]) -> None:
    """`models`: name → model folder, the base first. Raises CheckpointError."""
    (name, folder), *others = models.items()
    base = round_to_half(load_model(folder))
    save_model(base, out / name, half=True)
    digest = checkpoint_hash(base)
    for other, path in others:
        save_difference(load_model(path), base, name, digest, out / other)


def main(out: str, *models: str) -> None:
    named = [text.partition("=") for text in models]
    if not named or not all(equals for _, equals, _ in named):
        raise CheckpointError("write NAME=FOLDER for every model, the base first")
    release(Path(out), {name: Path(folder) for name, _, folder in named})


if __name__ == "__main__":
    main(*sys.argv[1:])
