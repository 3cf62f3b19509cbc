"""`mimdit fit`."""

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mimdit.cli.choices import chosen_variants
from mimdit.cli.steps_bar import steps_bar
from mimdit.errors import CheckFailedError, MimditError
from mimdit.silence import unwarned
from mimdit.targets import Target

__all__ = ["fit"]


@unwarned()
def fit(
    models: Annotated[Path, typer.Argument(help="Folder with one frozen variant each, as `mimdit freeze` leaves it.")],
    work: Annotated[Path, typer.Option(metavar="DIR", help="What was measured is kept here and not measured twice.")],
    variant: Annotated[str, typer.Option(help="Which variant.")] = "general",
    target: Annotated[Target, typer.Option(help="What the file is for.")] = "onnx",
    max_mb: Annotated[float | None, typer.Option(help="Size of the variant's files.")] = None,
    max_ms: Annotated[float | None, typer.Option(help="Latency of a tile on this machine.")] = None,
    max_drop: Annotated[float | None, typer.Option(help="dB lost against fp32, where most is.")] = None,
    tile: Annotated[str, typer.Option(help="Tile sides to try, e.g. 256,512.")] = "256",
    steps: Annotated[str, typer.Option(help="Numbers of student steps to try, e.g. 1,2.")] = "1",
    photos: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Your clean photos: calibrated on, and chosen by. With --out all the way."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Build what fits as a bundle, NAME.mimdit.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores to use; by default all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")] = False,
) -> None:
    """Find the best build of a variant within limits of size, time and loss, or say which limit forbids it.

    Every precision of the target is built and measured at every tile size and number of steps: MB, ms a tile here, dB
    lost on tiles of the variant's degradations. Of those within all limits the one that restores best is named, and
    built with --out, calibrated, parity-checked, with its card. Exit code 1 where nothing fits. A killed run goes on.
    """
    from mimdit.export.build import build as build_bundle
    from mimdit.export.graph import DeployableGraph
    from mimdit.model.checkpoint import load_model
    from mimdit.quantize import QUANTIZERS
    from mimdit.quantize.build import build as build_quantized
    from mimdit.quantize.candidates import converters, measure
    from mimdit.quantize.fit import Limits, missed
    from mimdit.quantize.fit import fit as choose
    from mimdit.quantize.recipe import Recipe

    def tell(line: str) -> None:
        typer.echo(line, err=True)

    (name, *more) = chosen_variants(variant)
    if more:
        raise MimditError("fit chooses for one variant at a time: name it with --variant")
    sides, counts = _numbers("--tile", tile), _numbers("--steps", steps)
    model, recipe = load_model(models / name / "model"), Recipe(photos=photos, work=work)
    work.mkdir(parents=True, exist_ok=True)
    points = measure(model, target, recipe, tiles=sides, steps=counts, threads=threads, tell=tell)
    limits = Limits(max_mb, max_ms, max_drop)
    best = choose(points, limits)
    if as_json:
        typer.echo(json.dumps({"points": [asdict(p) for p in points], "best": best and asdict(best)}, indent=1))
    if best is None:
        raise CheckFailedError(missed(points, limits))
    if not as_json:
        typer.echo(
            f"{best.precision} at tile {best.tile}, {best.steps} steps: {best.megabytes:.2f} MB, "
            f"{best.milliseconds:.1f} ms, {best.drop:.3f} dB lost"
        )
    if out is None:
        return
    graph = DeployableGraph(model, tile=best.tile, steps=best.steps)
    converter, command = converters(target)[best.precision], shlex.join(["mimdit", *sys.argv[1:]])
    if converter in QUANTIZERS:
        with steps_bar() as bar:
            build_quantized(
                [graph], converter, best.precision, out, recipe=recipe, command=command, tell=tell, steps=bar
            )
    else:
        build_bundle([graph], converter, best.precision, out, command=command, tell=tell)


def _numbers(option: str, text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) for part in parts):
        raise MimditError(f"{option} '{text}' is not a list of numbers: write for example 256,512")
    return [int(part) for part in parts]
