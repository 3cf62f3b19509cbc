"""`mimdit evaluate`."""

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mimdit.errors import MimditError

if TYPE_CHECKING:
    from mimdit.benchmarks.accuracy_report import Summary
    from mimdit.benchmarks.datasets import Group
    from mimdit.benchmarks.methods import Method
    from mimdit.bundle import Bundle

__all__ = ["evaluate"]

_MODEL = "A bundle NAME.mimdit, a model folder, or a folder of frozen variants; by default the embedded bundle."
_VARIANT = "For bundles and folders of variants: NAME, auto, or matched (the one that belongs to the degradation)."


def evaluate(
    model: Annotated[Path | None, typer.Argument(help=_MODEL)] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="A data set: a folder with a MANIFEST.tsv.")] = None,
    inputs: Annotated[Path | None, typer.Option(metavar="DIR", help="Or a folder of degraded photos,")] = None,
    truth: Annotated[Path | None, typer.Option(metavar="DIR", help="and one of their truths, equally named.")] = None,
    variant: Annotated[str | None, typer.Option(metavar="NAME[,NAME]", help=f"{_VARIANT} [default: matched]")] = None,
    steps: Annotated[
        str | None, typer.Option(metavar="N[,N]", help="For model folders: sampling steps. [default: 1]")
    ] = None,
    only: Annotated[str, typer.Option(metavar="NAME[,NAME]", help="Degradations or data sets; by default all.")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Photos of each group; by default all.")] = None,
    peers: Annotated[bool, typer.Option("--peers", help="Also what a user has today (extra `bench`).")] = False,
    sheets: Annotated[Path | None, typer.Option(metavar="DIR", help="Contact sheets: worst, median, best.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="accuracy.json and accuracy.md go here.")
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Write the means into the bundle's manifest.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores to use; by default all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of Markdown.")] = False,
) -> None:
    """Measure what a model restores: PSNR, SSIM and FLIP per degradation and per photo.

    Prints a Markdown table of means. Photos of a data set's `clean` tasks are degraded here, with fixed seeds, and also
    restored as they are. Exit code 1 if a photo could not be restored.
    """
    from mimdit.benchmarks.accuracy import count
    from mimdit.benchmarks.accuracy import evaluate as run
    from mimdit.benchmarks.accuracy_report import markdown
    from mimdit.benchmarks.record import record as write_record
    from mimdit.files import write_file

    groups = _groups(data, inputs, truth, only, limit)
    bundle, methods = _methods(model, variant, steps, threads)
    if record and bundle is None:
        raise MimditError("--record writes into a bundle's manifest: name a bundle")
    if peers:
        methods += _peers()
    with _progress(count(groups, methods)) as (advance, tell):
        command = shlex.join(["mimdit", *sys.argv[1:]])
        report = run(groups, methods, command=command, sheets=sheets, advance=advance, tell=tell)

    if out is not None:
        write_file(out / "accuracy.json", (report.model_dump_json(indent=1) + "\n").encode(), overwrite=True)
        write_file(out / "accuracy.md", markdown(report).encode(), overwrite=True)
    if record and bundle is not None:
        write_record(bundle, report.summary)
    typer.echo(report.model_dump_json(indent=1) if as_json else markdown(report), nl=as_json)
    if failed := [row for row in report.rows if row.error]:
        typer.echo(f"{len(failed)} of {len(report.rows)} photos could not be restored", err=True)
        raise typer.Exit(1)


def _groups(data: Path | None, inputs: Path | None, truth: Path | None, only: str, limit: int | None) -> "list[Group]":
    from mimdit.benchmarks.datasets import folder_groups, manifest_groups, select

    if data is not None and inputs is None and truth is None:
        groups = manifest_groups(data)
    elif data is None and inputs is not None and truth is not None:
        groups = folder_groups(inputs, truth)
    else:
        raise MimditError("expected either --data DIR, or --inputs DIR and --truth DIR")
    return select(groups, _names(only), limit)


def _methods(
    model: Path | None, variant: str | None, steps: str | None, threads: int | None
) -> "tuple[Bundle | None, list[Method]]":
    """The bundle, where the model is one, and the model as methods. An option that would change nothing is refused."""
    from mimdit.benchmarks.methods import MATCHED, bundle_method
    from mimdit.bundle import SUFFIX, open_bundle

    choices = _names(variant or MATCHED)
    if model is None or model.suffix == SUFFIX:
        if steps is not None:
            raise MimditError("--steps is for model folders: a bundle's steps are unrolled in its files")
        bundle = open_bundle(model)
        return bundle, [bundle_method(bundle, choices, threads)]

    from mimdit.benchmarks.torch_models import is_collection, model_method

    if variant is not None and not is_collection(model):
        raise MimditError(f"--variant is for bundles and folders of variants: {model} is a single model")
    counts = _names(steps or "1")
    if not all(count.isdecimal() and int(count) for count in counts):
        raise MimditError(f"--steps '{steps}' is not a list of positive numbers: write for example 1,2,4")
    return None, [model_method(model, choices, int(count), threads) for count in counts]


def _peers() -> "list[Method]":
    from mimdit.benchmarks.peers import missing_packages, peer_methods

    if missing := missing_packages():
        typer.echo(f"left out, not installed: {', '.join(missing)}", err=True)
    return peer_methods()


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


@contextmanager
def _progress(photos: int) -> "Iterator[tuple[Callable[[], object], Callable[[Summary], object]]]":
    """(advance, tell): one photo is done; one group is done, and its mean goes to stderr. Terminals get a bar."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Left to itself rich would send stdout, the data, to this console as well.
    quiet = {"console": console, "transient": True, "redirect_stdout": False, "redirect_stderr": False}
    with Progress(*columns, **quiet, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("photos", total=photos)
        yield lambda: bar.advance(task), lambda summary: console.print(_line(summary))


def _line(summary: "Summary") -> str:
    where = f"{summary.degradation} ({summary.dataset}), {summary.method}"
    name = where if summary.variant is None else f"{where} {summary.variant}"
    before, after = summary.input.psnr, summary.restored.psnr
    figures = "no truth" if before is None or after is None else f"{before:.2f} → {after:.2f} dB"
    return f"{name}: {summary.images} photos, {figures}"
