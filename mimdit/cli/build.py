"""`mimdit build`."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mimdit.cli.choices import chosen_variants
from mimdit.cli.steps_bar import steps_bar
from mimdit.errors import CheckpointError
from mimdit.silence import unwarned
from mimdit.targets import Precision, Target


@unwarned()
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
        Path | None,
        typer.Option(help="Dispatcher to ship, so that --variant auto works: a trained one, or a bundle's."),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="w8a8: clean photos to calibrate on. [default: the package's CC0 photos]"),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(metavar="DB", help="w8, w8a8, p6: put sensitive layers back to float until no more is lost."),
    ] = None,
    work: Annotated[
        Path | None, typer.Option(metavar="DIR", help="w8, w8a8, p6: what takes long is kept here and not done twice.")
    ] = None,
    require_faster: Annotated[
        bool, typer.Option("--require-faster", help="w8, w8a8, p6: no bundle, exit code 1, if slower than fp32 here.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing bundle.")] = False,
) -> None:
    """Export frozen variants into a bundle, after checking each file against its PyTorch graph.

    The bundle is written only if every file holds exactly the sub-experts of its routing plan and agrees with the graph
    on tiles of every degradation and on extremes; otherwise the exit code is 1 and nothing is left behind.

    w8 has weights of 8 bits, p6 of 6 that number a palette of 64 values, w8a8 activations of 8 bits too: those are
    calibrated on degraded tiles of clean photos, and the bundle says which (CALIBRATION.md). --max-drop measures in the
    target's own runtime, on tiles of other photos.
    Each quantized file is timed against its fp32 twin; one that is over 5 % slower is told as smaller but slower.

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
    from mimdit.quantize import QUANTIZERS
    from mimdit.quantize.build import build as build_quantized
    from mimdit.quantize.recipe import Recipe

    if out.exists() and not overwrite:
        raise CheckpointError(f"{out} exists: name another --out, or replace it with --overwrite")
    quantized = any(precision in converter.precisions for converter in QUANTIZERS)
    if not quantized and (calibration or work or require_faster or max_drop is not None):
        raise CheckpointError("--calibration, --max-drop, --work and --require-faster are for --precision w8, w8a8, p6")
    converter = find((*EXPORTERS, *QUANTIZERS), target, precision)
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
    shared: dict[str, Any] = {
        "command": shlex.join(["mimdit", *sys.argv[1:]]),
        "add_dispatcher": None if dispatcher is None else lambda folder: add_dispatcher(dispatcher, folder),
        "overwrite": overwrite,
        "tell": lambda line: typer.echo(line, err=True),
    }
    if quantized:
        with steps_bar() as bar:
            manifest = build_quantized(
                graphs,
                converter,
                precision,
                out,
                recipe=Recipe(photos=calibration, work=work),
                max_drop=max_drop,
                require_faster=require_faster,
                steps=bar,
                **shared,
            )
    else:
        manifest = build_bundle(graphs, converter, precision, out, **shared)
    size = sum(file.bytes for file in manifest.files) / 1e6
    typer.echo(f"{out}: {len(manifest.models)} models, {size:.1f} MB, id {manifest.id}", err=True)
