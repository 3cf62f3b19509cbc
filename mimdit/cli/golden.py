"""`mimdit golden record` and `mimdit golden compare`."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from mimdit.errors import CheckFailedError

__all__ = ["compare", "record"]


def record(
    model: Annotated[Path, typer.Argument(help="The reference: a model folder, as `mimdit train` leaves it.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="NAME.golden", help="The folder to write.")],
    steps: Annotated[int, typer.Option(min=1, max=1000, help="Sampling steps.")] = 20,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing golden.")] = False,
) -> None:
    """Record what the reference makes of the example photos, and how fast.

    Inputs (CC0 and public domain), outputs, dB per photo, time of one tile, memory, provenance. Computed on CUDA where
    there is a GPU, else on the processor, and the golden says which. With a GPU also the time of `sd35-medium` on
    random weights, which is a time and nothing else; without one no figure stands in CUDA's place.
    """
    from mimdit.benchmarks.golden import GOLDEN_NAME
    from mimdit.benchmarks.golden_record import record_golden
    from mimdit.errors import MimditError

    if overwrite and out.exists() and not (out / GOLDEN_NAME).is_file():
        raise MimditError(f"{out} is no golden (no {GOLDEN_NAME} in it): it is not overwritten; choose another name")
    command = shlex.join(["mimdit", *sys.argv[1:]])
    content = record_golden(
        model, out, steps=steps, command=command, overwrite=overwrite, tell=lambda line: typer.echo(line, err=True)
    )
    typer.echo(f"{out}: {len(content.entries)} photos, id {content.id}, computed on {content.computed_on}", err=True)


def compare(
    golden: Annotated[Path, typer.Argument(help="A golden, NAME.golden.")],
    bundle: Annotated[Path | None, typer.Argument(help="A bundle NAME.mimdit; by default the embedded one.")] = None,
    max_drop: Annotated[
        float | None, typer.Option(metavar="DB", help="Exit code 1 where a degradation loses more than this.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Times of one tile.")] = 20,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores to use; by default all.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="RUN.json", help="Write the run file.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing run file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Hold a bundle to a golden: dB lost per degradation, times the latency, MB.

    The recorded inputs through the bundle on this device, against the reference's outputs and the truths. The latency
    is set against CUDA's, if the golden was recorded with a GPU.
    """
    from mimdit.benchmarks.bench import Plan, bench
    from mimdit.benchmarks.golden import open_golden
    from mimdit.benchmarks.headline import headline
    from mimdit.benchmarks.run_file import write_run
    from mimdit.bundle import open_bundle

    opened = open_golden(golden)
    plan = Plan(choice="matched", threads=threads, samples=samples)
    run = bench([open_bundle(bundle)], [], plan, command=shlex.join(["mimdit", *sys.argv[1:]]), golden=opened)
    if out is not None:
        write_run(run, out, overwrite=overwrite)
    line = headline(run, run.results[0])
    rows = run.results[0].drift or ()
    if as_json:
        typer.echo(json.dumps({**line.model_dump(), "photos": [row.model_dump() for row in rows]}, ensure_ascii=False))
    else:
        typer.echo(line.sentence())
        for row in rows:
            lost = "no truth" if row.lost is None else f"lost {row.lost:.2f} dB"
            apart = f"at most {row.max_levels} levels apart"
            typer.echo(f"  {row.image} ({row.degradation}): {lost}, {row.agreement:.2f} dB from the reference, {apart}")
    worst = max(line.lost, key=lambda name: line.lost[name], default=None)
    if max_drop is not None and worst is not None and line.lost[worst] > max_drop:
        raise CheckFailedError(f"{worst} loses {line.lost[worst]:.2f} dB, more than --max-drop {max_drop:g}")
