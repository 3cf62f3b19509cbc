"""`mimdit build`."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from mimdit.cli.choices import chosen_variants
from mimdit.errors import CheckpointError
from mimdit.targets import Precision, Target


def build(
    out: Annotated[Path, typer.Option("--out", "-o", help="The bundle, NAME.mimdit.")],
    models: Annotated[
        Path | None, typer.Argument(help="Folder with one frozen variant each, as `mimdit freeze` leaves it.")
    ] = None,
    identity: Annotated[
        bool, typer.Option("--identity", help="Instead of MODELS a variant that returns the photo to the bit.")
    ] = False,
    target: Annotated[Target, typer.Option(help="What the files are for.")] = "onnx",
    precision: Annotated[Precision, typer.Option(help="Number format of weights and activations.")] = "fp32",
    platform: Annotated[
        str | None,
        typer.Option(
            help="What the files are for, where that matters: coreml ios16 or ios18, tensorrt sm_89 and others."
        ),
    ] = None,
    variant: Annotated[str, typer.Option(help="NAME[,NAME] or all.")] = "all",
    tile: Annotated[str, typer.Option(help="Tile sides in px, e.g. 256 or 256,512: multiples of 64.")] = "256",
    steps: Annotated[int, typer.Option(min=1, max=1000, help="Student steps, unrolled in the graph.")] = 1,
    dispatcher: Annotated[
        Path | None, typer.Option(help="Trained dispatcher to ship, so that --variant auto works.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing bundle.")] = False,
) -> None:
    """Export frozen variants into a bundle, after checking each file against its PyTorch graph.

    The bundle is written only if every file holds exactly the sub-experts of its routing plan and agrees with the graph
    on tiles of every degradation and on extremes; otherwise the exit code is 1 and nothing is left behind.

    A photo that a bundle of --identity changes was changed by the pipeline (decoding, tiles, runtime, blending),
    not by the model: `mimdit build --identity --target T -o X.mimdit`, then restore an 8-bit PNG and compare.
    """
    from mimdit.export import EXPORTERS
    from mimdit.export.build import build as build_bundle
    from mimdit.export.converter import find
    from mimdit.export.dispatcher import add_dispatcher
    from mimdit.export.graph import DeployableGraph
    from mimdit.export.identity import identity_variant
    from mimdit.model.checkpoint import load_model

    if out.exists() and not overwrite:
        raise CheckpointError(f"{out} exists: name another --out, or replace it with --overwrite")
    converter = find(EXPORTERS, target, precision)
    if platform is not None:
        converter = converter.on(platform)
    sides = [int(side) for side in tile.split(",") if side.strip().isdigit()]
    if not sides or len(sides) != len(tile.split(",")):
        raise CheckpointError(f"--tile '{tile}' is not a list of numbers: write for example 256,512")
    if (models is None) != identity:
        raise CheckpointError("name either the folder of frozen variants, or --identity")
    loaded = (
        [identity_variant()]
        if models is None
        else [load_model(models / name / "model") for name in chosen_variants(variant)]
    )
    graphs = [DeployableGraph(model, tile=side, steps=steps) for model in loaded for side in sides]
    manifest = build_bundle(
        graphs,
        converter,
        precision,
        out,
        command=shlex.join(["mimdit", *sys.argv[1:]]),
        add_dispatcher=None if dispatcher is None else lambda folder: add_dispatcher(dispatcher, folder),
        overwrite=overwrite,
        tell=lambda line: typer.echo(line, err=True),
    )
    size = sum(file.bytes for file in manifest.files) / 1e6
    typer.echo(f"{out}: {len(manifest.models)} models, {size:.1f} MB, id {manifest.id}", err=True)
