"""`mimdit explain`: how a photo was restored, whether that holds, and the same once more."""

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["explain"]

_WORDS = {True: "ok", False: "FAILED", None: "not checked"}


def explain(
    photo: Annotated[Path, typer.Argument(help="A photo that mimdit restored, its XMP kept.")],
    bundle: Annotated[
        Path | None, typer.Option(help="The bundle to check against; by default the embedded one.")
    ] = None,
    original: Annotated[Path | None, typer.Option(help="The file that was restored, to check it by its hash.")] = None,
    redo: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Restore --original again as the photo says, and compare.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Explain a restored photo: what was done to it, by which bundle, and whether that holds.

    Reads what `mimdit restore` wrote into the photo's XMP. With --original and --redo the restoration is done again;
    on the same machine and runtime it comes out the same. Exit code 1 if a check fails.
    """
    from mimdit.bundle import open_bundle
    from mimdit.errors import CheckFailedError, MimditError
    from mimdit.runtimes.explain import check, check_signature, provenance_or_error
    from mimdit.runtimes.explain import redo as redo_it

    if redo is not None and original is None:
        raise MimditError("--redo restores the original again: name it with --original")
    provenance = provenance_or_error(photo)
    opened = open_bundle(bundle)
    checks = [*check(provenance, opened, original), *check_signature(photo)]
    failed = [one.name for one in checks if one.passed is False]
    agreement = None
    if redo is not None and original is not None and not failed:
        agreement = redo_it(provenance, opened, original, photo, redo)
    if as_json:
        result = {"provenance": provenance.model_dump(mode="json"), "checks": [vars(one) for one in checks]}
        typer.echo(json.dumps({**result, "redo": agreement and vars(agreement)}, ensure_ascii=False))
    else:
        for name, value in provenance.model_dump(mode="json").items():
            typer.echo(f"{name:<14}{value if isinstance(value, str) else json.dumps(value)}")
        for one in checks:
            typer.echo(f"{_WORDS[one.passed]:<12}{one.name:<10}{one.seen}")
        if agreement is not None:
            apart = f"{agreement.max_levels:.2f} levels of 255 apart at most, {agreement.mean_levels:.4f} in the mean"
            typer.echo(f"done again  {redo}: {apart}")
    if failed:
        raise CheckFailedError(f"{photo}: does not fit in {', '.join(failed)}: name its bundle and its original")
