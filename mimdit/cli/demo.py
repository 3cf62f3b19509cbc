"""`mimdit demo`: the shipped examples, restored on this machine, as a table and a page."""

import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mimdit.bundle import Bundle
    from mimdit.cli.demo_page import Comparison

__all__ = ["demo"]

PAGE_NAME = "mimdit-demo.html"


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the page goes.")] = Path("."),
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Restore the shipped example photos and write a before/after page."""
    from mimdit.bundle import open_bundle
    from mimdit.cli.demo_page import page
    from mimdit.example_photos import EXAMPLES
    from mimdit.files import write_file

    bundle = open_bundle()
    comparisons = _compare(EXAMPLES, bundle)
    path = out / PAGE_NAME
    write_file(path, page(comparisons, bundle.manifest.id).encode(), overwrite=True)
    if as_json:
        rows = [{k: v for k, v in vars(c).items() if k not in ("before", "after")} for c in comparisons]
        typer.echo(json.dumps({"bundle": bundle.manifest.id, "page": str(path), "photos": rows}, ensure_ascii=False))
        return
    _print_table(comparisons)
    typer.echo(f"page: {path}")


def _compare(folder: Path, bundle: "Bundle") -> "list[Comparison]":
    """Restores every example of a folder and measures it against its truth."""
    from mimdit.cli.demo_page import Comparison
    from mimdit.example_photos import read_examples
    from mimdit.image import load
    from mimdit.metrics import psnr
    from mimdit.runtimes.restore import Restorer

    restorer = Restorer(bundle)
    comparisons = []
    for example in read_examples(folder):
        degraded = load(folder / example.degraded).pixels
        truth = load(folder / example.truth).pixels
        began = time.perf_counter()
        restored = restorer.restore(degraded, example.variant).pixels
        seconds = time.perf_counter() - began
        before, after = (_finite(psnr(pixels / 255, truth / 255)) for pixels in (degraded, restored))
        comparisons.append(
            Comparison(
                name=example.name,
                variant=example.variant,
                credit=example.credit,
                input_psnr=before,
                psnr=after,
                seconds=round(seconds, 3),
                before=degraded,
                after=restored,
            )
        )
    return comparisons


def _finite(decibel: float) -> float | None:
    """JSON knows no infinity, which is the PSNR of equal photos: null."""
    return round(decibel, 2) if math.isfinite(decibel) else None


def _print_table(comparisons: "list[Comparison]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(caption="PSNR against the undamaged photo; seconds with loading the model", box=None, pad_edge=False)
    for column in ("photo", "variant"):
        table.add_column(column)
    for column in ("before dB", "after dB", "seconds"):
        table.add_column(column, justify="right")
    for row in comparisons:
        figures = ("∞" if v is None else f"{v:.2f}" for v in (row.input_psnr, row.psnr))
        table.add_row(row.name, row.variant, *figures, f"{row.seconds:.2f}")
    Console(markup=False, highlight=False).print(table)
