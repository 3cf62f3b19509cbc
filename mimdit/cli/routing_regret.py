"""`mimdit routing regret`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mimdit.errors import MimditError

__all__ = ["regret"]


def regret(
    photos: Annotated[list[Path], typer.Argument(help="Degraded photos.")],
    student: Annotated[Path, typer.Option(help="Model folder of the dynamic student, e.g. weights/student-1.")],
    variants: Annotated[Path, typer.Option(help="Folder of its frozen variants, as `mimdit freeze` leaves it.")],
    truth: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Undamaged photos, equally named: regret in dB.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Tell what dynamic routing would have gained over a frozen variant, and whether another variant fits better.

    Each photo is restored by the dynamic student and by every variant. With a truth the difference is in dB; without
    one: how much of what the routers choose each plan keeps, and how far its picture is from theirs. Both are held to
    the reduced photo where the variant is, so that only routing differs.
    """
    from mimdit.benchmarks.regret import load_variants, photo_regret
    from mimdit.image import load
    from mimdit.model.checkpoint import load_model

    model, frozen = load_model(student), load_variants(variants)
    if model.shape.plan is not None:
        raise MimditError(f"{student} is frozen: name the dynamic student that the variants were made from")
    rows = []
    for path in photos:
        photo = load(path).pixels
        whole = None if truth is None else load(truth / path.name).pixels
        if whole is not None and whole.shape != photo.shape:
            raise MimditError(f"{truth}/{path.name} has another size than {path}: truths must fit pixel by pixel")
        found = photo_regret(photo, whole, model, frozen)
        fits = {name: {**vars(fit), "regret": fit.regret} for name, fit in found.fits.items()}
        rows.append({"photo": str(path), "best": found.best, "variants": fits})
        if as_json:
            continue
        typer.echo(f"{path}:")
        for name, fit in found.fits.items():
            figures = f"{fit.agreement:4.0%} of the choices, {fit.change:5.2f} levels from dynamic"
            if fit.regret is not None:
                figures += f", {fit.decibels:.2f} dB, regret {fit.regret:+.2f}"
            typer.echo(f"  {name:9s} {figures}{'  ← fits best' if name == found.best else ''}")
    if as_json:
        typer.echo(json.dumps(rows))
