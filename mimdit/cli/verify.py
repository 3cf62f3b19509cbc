"""`mimdit verify`: every check that a bundle must pass, one line each."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["verify"]


def verify(
    bundle: Annotated[Path | None, typer.Argument(help="A bundle NAME.mimdit; by default the embedded one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check a bundle: schema, files, sizes, hashes, weights.

    Exit code 0 if it is sound, 2 if not.
    """
    from mimdit.bundle import CHECK_NAMES, default_bundle_path, open_bundle
    from mimdit.errors import BundleError

    path = default_bundle_path() if bundle is None else bundle
    seen: dict[str, str] = {}
    failure: BundleError | None = None
    try:
        open_bundle(path, on_check=seen.__setitem__)
    except BundleError as error:
        failure = error
        seen[CHECK_NAMES[len(seen)]] = str(error)

    # The checks after a failed one rest on it, so they did not run: null, neither passed nor failed.
    passed = {name: (name in seen) or None for name in CHECK_NAMES}
    if failure is not None:
        passed[CHECK_NAMES[len(seen) - 1]] = False
    if as_json:
        import json

        checks = [{"name": name, "passed": passed[name], "seen": seen.get(name)} for name in CHECK_NAMES]
        typer.echo(json.dumps({"bundle": str(path), "passed": failure is None, "checks": checks}))
    else:
        words = {True: "ok", False: "FAILED", None: "not run"}
        for name in CHECK_NAMES:
            typer.echo(f"{words[passed[name]]:<8}{name:<10}{seen.get(name, '')}".rstrip())
    if failure is not None:
        raise failure
