"""`mimdit quantize sensitivity`."""

from pathlib import Path
from typing import Annotated

import typer

from mimdit.cli.choices import chosen_variants
from mimdit.cli.steps_bar import steps_bar
from mimdit.silence import unwarned

__all__ = ["sensitivity"]


@unwarned()
def sensitivity(
    models: Annotated[Path, typer.Argument(help="Folder with one frozen variant each, as `mimdit freeze` leaves it.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Goes here; resumes what lies there.")],
    variant: Annotated[str, typer.Option(help="NAME[,NAME] or all.")] = "all",
    tile: Annotated[int, typer.Option(help="Tile side in px.")] = 256,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="Student steps, unrolled in the graph.")] = 1,
    calibration: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Clean photos. [default: the package's CC0 photos]")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores to use; by default all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of Markdown.")] = False,
) -> None:
    """Measure what each layer loses when it alone is quantized: the ranking that `mimdit build --max-drop` goes by.

    Each layer in turn gets 8-bit weights and activations, and the file runs in ONNX Runtime on tiles of the variant's
    own degradations, from photos that are not calibrated on. OUT gets the ranking as JSON, as a table and as a bar
    chart. A killed run goes on where it was.
    """
    from mimdit.export.graph import DeployableGraph
    from mimdit.files import write_file
    from mimdit.model.checkpoint import load_model
    from mimdit.quantize.recipe import Recipe
    from mimdit.quantize.sensitivity import chart, default_path, markdown, rank

    recipe = Recipe(photos=calibration, work=out)
    for name in chosen_variants(variant):
        graph = DeployableGraph(load_model(models / name / "model"), tile=tile, steps=steps)
        path = default_path(graph, recipe, out)
        with steps_bar() as bar:
            found = rank(graph, recipe, path, threads=threads, steps=bar)
        write_file(path.with_suffix(".md"), markdown(found).encode(), overwrite=True)
        write_file(path.with_suffix(".png"), chart(found), overwrite=True)
        typer.echo(found.model_dump_json(indent=1) if as_json else markdown(found))
