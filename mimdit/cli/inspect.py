"""`mimdit inspect`: what `auto` sees in a photo."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mimdit.runtimes.inspection import Inspection

__all__ = ["inspect"]


def inspect(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="A photo file.")],
    bundle: Annotated[Path | None, typer.Option(help="A bundle NAME.mimdit; by default the embedded one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look at a photo without restoring it: what the dispatcher sees, what can be measured, what to do.

    Noise is a standard deviation in levels of 255; a blockiness of 1 has no JPEG blocks; haze and exposure lie in 0..1.
    """
    from mimdit.bundle import open_bundle
    from mimdit.image import load
    from mimdit.runtimes.inspection import inspect as look
    from mimdit.runtimes.restore import Restorer

    found = look(load(photo).working(), Restorer(open_bundle(bundle)))
    if as_json:
        typer.echo(json.dumps({"photo": str(photo), **asdict(found)}, ensure_ascii=False))
    else:
        typer.echo("\n".join(_lines(photo, found)))


def _lines(photo: Path, found: "Inspection") -> list[str]:
    facts = found.facts
    lines = [f"{photo}: {found.width}×{found.height}"]
    if found.scores is not None:
        lines.append("dispatcher  " + "  ".join(f"{name} {score:.2f}" for name, score in found.scores.items()))
    lines.append(f"noise       {facts.noise:.1f} levels of 255")
    lines.append(f"blockiness  {facts.blockiness:.2f}")
    lines.append(f"haze        {facts.haze:.2f}")
    lines.append(f"exposure    {facts.exposure:.2f}, {facts.black:.1%} black, {facts.white:.1%} white")
    lines.append(found.suggestion)
    return lines
