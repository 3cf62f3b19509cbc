"""`mimdit restore`: photos in, restored photos out."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mimdit.errors import BundleError, MimditError, MissingPackageError, PhotoError
from mimdit.targets import VARIANTS

if TYPE_CHECKING:
    from mimdit.batch import Job
    from mimdit.runtimes.restore import Restorer, VariantChoice
    from mimdit.runtimes.tiler import Progress

__all__ = ["restore"]

_CHOICES = ("auto", *VARIANTS)


@dataclass
class _Result:
    """What became of one photo: the object that --json prints. Unknown is null."""

    input: str
    output: str | None = None
    variant: str | None = None
    megapixels: float | None = None
    seconds: float | None = None
    runtime: str | None = None
    bundle: str | None = None
    error: str | None = None


def _known_variant(name: str) -> str:
    if name not in _CHOICES:
        raise typer.BadParameter(f"expected one of {', '.join(_CHOICES)}, found {name!r}")
    return name


def restore(
    inputs: Annotated[list[Path], typer.Argument(metavar="IN", help="Photos, or folders of photos.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="A file for one photo, or a folder.")],
    variant: Annotated[
        str,
        typer.Option(
            metavar="NAME", callback=_known_variant, help=f"{', '.join(_CHOICES)}. auto looks at the photo and chooses."
        ),
    ] = "auto",
    bundle: Annotated[Path | None, typer.Option(help="A bundle NAME.mimdit; by default the embedded one.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores to use; by default all.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a photo.")] = False,
) -> None:
    """Restore photos: remove noise, blur, haze, rain, darkness, JPEG artefacts.

    One photo and an OUT with a suffix writes that file in that format. A folder goes to OUT, relative names kept.
    """
    from mimdit.batch import plan
    from mimdit.bundle import open_bundle
    from mimdit.runtimes.restore import Restorer

    jobs = plan(inputs, output)
    opened = open_bundle(bundle)
    restorer = Restorer(opened, threads=threads)
    choice = cast("VariantChoice", variant)  # the callback lets no other name through
    failures: list[MimditError] = []
    with _reporter(len(jobs)) as (start, say):
        for job in jobs:
            result = _Result(str(job.input), bundle=opened.manifest.id)
            try:
                _restore_one(job, restorer, choice, overwrite, start(job.input.name), result)
                say(f"{job.input} → {job.output} ({result.variant}, {result.seconds:.1f} s)")
            except (BundleError, MissingPackageError):
                raise  # not this photo's fault: the next one would end the same way
            except MimditError as error:
                result.error = str(error)
                failures.append(error)
                if len(jobs) > 1:
                    say(f"failed: {error}")
            if as_json:
                import json

                typer.echo(json.dumps(vars(result), ensure_ascii=False))
    if len(jobs) == 1 and failures:
        raise failures[0]
    if len(jobs) > 1:
        typer.echo(f"{len(jobs) - len(failures)} of {len(jobs)} photos restored, {len(failures)} failed", err=True)
        for error in failures:
            typer.echo(f"  {error}", err=True)
    if failures:
        raise typer.Exit(1)


def _restore_one(
    job: "Job",
    restorer: "Restorer",
    variant: "VariantChoice",
    overwrite: bool,
    progress: "Progress | None",
    result: _Result,
) -> None:
    """Reads, restores and writes one photo; fills `result` as far as it comes. Raises MimditError."""
    from mimdit.files import write_file
    from mimdit.image import check_suffix, load, save

    if job.output is None:
        raise job.error or PhotoError(f"{job.input}: has no output")
    check_suffix(job.output)
    if job.output.exists() and not overwrite:  # before the work, not only before the writing
        raise PhotoError(f"{job.output}: exists already: pass --overwrite to replace it, or choose another name")
    began = time.perf_counter()
    photo = load(job.input)
    result.megapixels = round(photo.megapixels, 6)
    restored = restorer.restore(photo.pixels, variant, progress)
    result.variant, result.runtime = restored.variant or "none", restored.runtime
    if restored.variant is None and job.output.suffix == job.input.suffix:
        # Nothing to restore: encoding again would change the pixels all the same.
        write_file(job.output, job.input.read_bytes(), overwrite=overwrite)
    else:
        save(photo.with_pixels(restored.pixels), job.output, overwrite=overwrite)
    result.output = str(job.output)
    result.seconds = round(time.perf_counter() - began, 3)


@contextmanager
def _reporter(photos: int) -> "Iterator[tuple[Callable[[str], Progress | None], Callable[[str], None]]]":
    """(start, say): start(name) begins a photo and gives its tile counter, say(line) prints. Terminals get a bar."""
    if not sys.stderr.isatty():
        yield lambda name: None, lambda line: typer.echo(line, err=True)
        return

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Left to itself rich would send stdout, the data, to this console as well.
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as bar:

        def start(name: str) -> "Progress":
            begun = bar.task_ids[-1] + 2 if bar.task_ids else 1
            for task in bar.task_ids:
                bar.remove_task(task)
            task = bar.add_task(f"[{begun}/{photos}] {name}", total=None)
            return lambda done, total: bar.update(task, completed=done, total=total)

        yield start, console.print
