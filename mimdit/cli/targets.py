"""`mimdit targets`: what can be exported and run on this machine."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mimdit.targets import Precision, Target

__all__ = ["targets"]


def targets(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a target, in a list.")] = False,
) -> None:
    """Show which targets can be built for and run here, and the line that installs what is missing.

    A bundle is built with `mimdit build --target NAME --precision P` and needs the target's whole extra, PyTorch
    included; `mimdit restore --bundle` needs the runtime alone. What cannot run here can still be built: its manifest
    says that parity was not measured, and why.
    """
    from mimdit.targets import TARGETS

    rows = [row for target in TARGETS if (row := _row(target))]
    if as_json:
        import json

        typer.echo(json.dumps(rows, indent=1))
        return

    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, highlight=False, emoji=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 160  # a pipe has no width: never fold a table in a file
    table = Table("target", "file", "build", "run", box=box.SIMPLE_HEAD)
    for row in rows:
        name = f"{row['target']} (beta)" if row["beta"] else row["target"]
        table.add_row(name, row["suffix"], _words(row["build"]), _words(row["run"]))
    console.print(table, soft_wrap=False)
    for title, part in (("to build", "build"), ("to run only", "run")):
        for row in rows:
            if row[part]["missing"]:
                console.print(f"{row['target']}, {title}:  {row[part]['install']}")


def _row(target: "Target") -> dict[str, Any] | None:
    """What is known of one target; None where there is no way to it yet."""
    from importlib.util import find_spec

    from mimdit.export import EXPORTERS
    from mimdit.quantize import QUANTIZERS
    from mimdit.runtimes import RUNTIMES

    converters = [converter for converter in (*EXPORTERS, *QUANTIZERS) if converter.target == target]
    spec = next((spec for spec in RUNTIMES if spec.target == target), None)
    if not converters or spec is None:
        return None
    extra = f"pip install 'mimdit[{target}]'"
    precisions: list[Precision] = [precision for converter in converters for precision in converter.precisions]
    build_lacks = sorted({package for converter in converters for package in converter.missing()})
    run_lacks = [package for package in spec.requires if find_spec(package) is None]
    hindrances = {} if run_lacks else {p: reason for p in precisions if (reason := spec.hindrance(p))}
    return {
        "target": target,
        "beta": any(converter.beta for converter in converters),
        "suffix": converters[0].suffix,
        "build": {
            "precisions": [] if build_lacks else precisions,
            "missing": build_lacks,
            "install": extra if build_lacks else None,
        },
        "run": {
            "precisions": [] if run_lacks else [p for p in precisions if p not in hindrances],
            "missing": run_lacks,
            "install": (f"pip install {spec.alone}" if spec.alone else extra) if run_lacks else None,
            "hindrances": hindrances,
        },
    }


def _words(part: dict[str, Any]) -> str:
    if part["missing"]:
        return f"needs {', '.join(part['missing'])}"
    reasons: dict[str, list[str]] = {}
    for precision, reason in part.get("hindrances", {}).items():
        reasons.setdefault(reason, []).append(precision)
    possible = [", ".join(part["precisions"])] if part["precisions"] else []
    return "; ".join(possible + [f"not {', '.join(names)}: {reason}" for reason, names in reasons.items()])
