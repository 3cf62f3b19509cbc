"""`mimdit verify`: every check that a bundle must pass, one line each."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mimdit.bundle import Bundle

__all__ = ["verify"]

_EXPERTS = "experts"  # what opening leaves out: it may need the target's package


def verify(
    bundle: Annotated[Path | None, typer.Argument(help="A bundle NAME.mimdit; by default the embedded one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check a bundle: schema, files, sizes, hashes, weights, experts.

    The last reads from each model file itself which sub-experts are inside, and names the first that is missing or one
    too many by the routing plan, or, in an ONNX file, that has another's weights. Exit code 0 if the bundle is sound,
    2 if not.
    """
    from mimdit.bundle import CHECK_NAMES, default_bundle_path, open_bundle
    from mimdit.errors import BundleError

    names = (*CHECK_NAMES, _EXPERTS)
    path = default_bundle_path() if bundle is None else bundle
    seen: dict[str, str] = {}
    failure: BundleError | None = None
    try:
        opened = open_bundle(path, on_check=seen.__setitem__)
        if (found := _experts(opened)) is not None:
            seen[_EXPERTS] = found
    except BundleError as error:
        failure = error
        seen[names[len(seen)]] = str(error)

    # The checks after a failed one rest on it, so they did not run: null, neither passed nor failed.
    passed = {name: (name in seen) or None for name in names}
    if failure is not None:
        passed[names[len(seen) - 1]] = False
    if as_json:
        import json

        checks = [{"name": name, "passed": passed[name], "seen": seen.get(name)} for name in names]
        typer.echo(json.dumps({"bundle": str(path), "passed": failure is None, "checks": checks}))
    else:
        words = {True: "ok", False: "FAILED", None: "not run"}
        for name in names:
            typer.echo(f"{words[passed[name]]:<8}{name:<10}{seen.get(name, '')}".rstrip())
    if failure is not None:
        raise failure


def _experts(bundle: "Bundle") -> str | None:
    """What was seen; None where the target's files cannot be read without a package that is not here.

    Raises BundleError naming file, block and sub-expert.
    """
    from mimdit.errors import BundleError
    from mimdit.export import EXPORTERS
    from mimdit.routing.inside import plan_difference, weights_difference

    converter = next((converter for converter in EXPORTERS if converter.target == bundle.manifest.target), None)
    if converter is None:
        return None
    count = 0
    for model in bundle.manifest.models:
        try:
            fault = plan_difference(model.plan, converter.tensor_names(bundle.file(model.file)))
            if fault is None and model.experts and converter.expert_weights is not None:
                fault = weights_difference(model.experts, converter.expert_weights(bundle.file(model.file)))
        except ModuleNotFoundError as error:
            typer.echo(f"{error.name} is not installed: the sub-experts inside are not counted", err=True)
            return None
        if fault:
            raise BundleError(f"{bundle.path.name}: {model.file}: {fault}; build the bundle again")
        count += model.plan.experts
    return f"{count} sub-experts in {len(bundle.manifest.models)} models, those of the routing plans"
