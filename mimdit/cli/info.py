"""`mimdit info`: what a bundle says about itself."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["info"]


def info(
    bundle: Annotated[Path | None, typer.Argument(help="A bundle NAME.mimdit; by default the embedded one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Show what a bundle holds, how it was built and what it reaches."""
    from mimdit.bundle import open_bundle

    opened = open_bundle(bundle)
    if as_json:
        typer.echo(opened.manifest.model_dump_json(indent=2))
        return

    from rich import box
    from rich.console import Console
    from rich.table import Table

    from mimdit.card import facts, tables

    console = Console(markup=False, highlight=False, emoji=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 160  # a pipe has no width: never fold a table in a file
    console.print(opened.manifest.name, style="bold")
    for name, value in {"path": str(opened.path), **facts(opened.manifest)}.items():
        console.print(f"  {name:<11} {value}")
    for content in tables(opened.manifest):
        table = Table(title=content.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        for column in content.columns:
            table.add_column(column)
        for row in content.rows:
            table.add_row(*row)
        console.print(table, soft_wrap=False)
