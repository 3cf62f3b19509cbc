"""`mimdit routing diff`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mimdit.errors import MimditError
from mimdit.targets import VARIANTS, Variant

if TYPE_CHECKING:
    from mimdit.benchmarks.plan_cost import Cost
    from mimdit.bundle import Bundle
    from mimdit.routing.diff import Place

__all__ = ["diff"]

_WHICH = "A variant of the embedded bundle, or BUNDLE.mimdit:VARIANT."


def diff(
    first: Annotated[str, typer.Argument(metavar="A", help=_WHICH)],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    samples: Annotated[int, typer.Option(min=1, help="Times of one tile, of each.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Show two routing plans side by side, and what they cost in dB, MB and ms.

    For every MiM block and expert group the sub-experts that each plan keeps, with their constant weights. dB are of
    the example photos of `mimdit demo`, all of them with both variants; a tile of each is timed in turns.
    """
    from mimdit.benchmarks.plan_cost import plan_costs
    from mimdit.routing.diff import plan_places

    chosen = [_variant(text) for text in (first, second)]
    places = plan_places(*(bundle.entry(variant).plan for bundle, variant in chosen))
    costs = plan_costs(chosen, samples)
    if as_json:
        rows = [{**vars(place), "same": place.same} for place in places]
        typer.echo(json.dumps({"places": rows, "costs": {"A": vars(costs[0]), "B": vars(costs[1])}}))
        return
    _print(first, second, places, costs)


def _variant(text: str) -> "tuple[Bundle, Variant]":
    from mimdit.bundle import open_bundle

    path, colon, name = text.rpartition(":")
    if name not in VARIANTS:
        raise MimditError(f"'{text}' names no variant: write one of {', '.join(VARIANTS)}, or BUNDLE.mimdit:VARIANT")
    return open_bundle(Path(path) if colon else None), cast(Variant, name)


def _print(first: str, second: str, places: "list[Place]", costs: "list[Cost]") -> None:
    from rich.console import Console
    from rich.table import Table

    from mimdit.routing.diff import shared

    console = Console(markup=False, highlight=False)
    table = Table(box=None, pad_edge=False, caption=f"the same sub-experts at {shared(places):.0%} of the places")
    for column in ("block", "group", first, second, ""):
        table.add_column(column)
    for place in places:
        kept = (", ".join(f"{e} × {weight:.3f}" for e, weight in side.items()) for side in (place.first, place.second))
        table.add_row(str(place.block), place.group, *kept, "" if place.same else "differs")
    console.print(table)
    console.print()
    one, other = costs
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for column in (first, second, "B − A"):
        table.add_column(column, justify="right")
    for name, before in one.decibels.items():
        after = other.decibels[name]
        table.add_row(f"{name}, dB", f"{before:.2f}", f"{after:.2f}", f"{after - before:+.2f}")
    for name, form in (("megabytes", ".2f"), ("gmac", ".2f"), ("milliseconds", ".1f")):
        before, after = getattr(one, name), getattr(other, name)
        words = {"megabytes": "weights in fp16, MB", "gmac": "GMAC a tile", "milliseconds": "ms a tile, median"}[name]
        table.add_row(words, format(before, form), format(after, form), format(after - before, f"+{form}"))
    console.print(table)
