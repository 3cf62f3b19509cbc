"""`mimdit restore`: photos in, restored photos out."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mimdit.cli.choices import byte_size, tile_size, window
from mimdit.targets import VARIANTS

if TYPE_CHECKING:
    from mimdit.batch import Job
    from mimdit.runtimes.one_photo import Outcome
    from mimdit.runtimes.restore import VariantChoice

__all__ = ["restore"]

_CHOICES = ("auto", *VARIANTS)
_INTERRUPTED = 130  # what shells take for Ctrl-C


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
    strength: Annotated[float, typer.Option(min=0, max=1, help="How much of the change is applied.")] = 1.0,
    preview: Annotated[
        str | None, typer.Option(metavar="X,Y,W,H", help="Restore and write only this part, in pixels.")
    ] = None,
    audit: Annotated[
        bool, typer.Option("--audit", help="Map where something was added: writes OUT.audit.png beside each OUT.")
    ] = False,
    bundle: Annotated[Path | None, typer.Option(help="A bundle NAME.mimdit; by default the embedded one.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores to use; by default all.")] = None,
    provider: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Where it runs: onnx knows cpu, cuda, coreml, qnn, directml; coreml cpu, gpu, ane."
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Photos in work at once: one is read while another is restored.")
    ] = 2,
    tile: Annotated[str, typer.Option(metavar="auto|N", help="Tile size; auto suits it to the photo's.")] = "auto",
    max_megapixels: Annotated[float, typer.Option(min=0, help="Refuse larger photos before they are decoded.")] = 200,
    max_memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Memory for all photos in work, as 600M or 2G; by default no limit."),
    ] = None,
    strip_metadata: Annotated[
        bool, typer.Option("--strip-metadata", help="Leave out EXIF, XMP and IPTC; how it was restored stays.")
    ] = False,
    sign: Annotated[
        Path | None,
        typer.Option(
            metavar="PEM", help="Sign C2PA content credentials with this key and its certificates: needs [c2pa]."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
    skip_done: Annotated[bool, typer.Option("--skip-done", help="Leave out photos whose output exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a photo.")] = False,
) -> None:
    """Restore photos: remove noise, blur, haze, rain, darkness, JPEG artefacts.

    One photo and an OUT with a suffix writes that file in that format. A folder goes to OUT, relative names kept.
    Outputs appear whole or not at all: after a kill or Ctrl-C, --skip-done goes on where it stopped.
    """
    from mimdit.batch import plan
    from mimdit.bundle import open_bundle
    from mimdit.cli.progress import reporter
    from mimdit.image.credentials import Credentials
    from mimdit.runtimes.many_photos import in_order, stopped_by_ctrl_c
    from mimdit.runtimes.memory import Memory
    from mimdit.runtimes.one_photo import PhotoRestorer, Settings
    from mimdit.runtimes.restore import Restorer

    limit = byte_size(max_memory)
    photos = plan(inputs, output)
    opened = open_bundle(bundle)
    settings = Settings(
        variant=cast("VariantChoice", variant),  # the callback lets no other name through
        strength=strength,
        preview=window(preview),
        audit=audit,
        strip_metadata=strip_metadata,
        credentials=None if sign is None else Credentials(sign),
        overwrite=overwrite,
        skip_done=skip_done,
        max_megapixels=max_megapixels,
    )
    told = partial(typer.echo, err=True)
    restorer = Restorer(opened, threads=threads, tile=tile_size(tile), provider=provider, tell=told)
    outcomes: list[Outcome] = []
    with reporter() as report, stopped_by_ctrl_c() as stop:
        restorer_of_files = PhotoRestorer(opened, restorer, settings, Memory(limit), stop)

        def work(job: "Job") -> "Outcome":
            with report.photo(job.input.name) as progress:
                return restorer_of_files.restore(job, progress)

        for outcome in in_order(work, photos, min(jobs, len(photos)), stop):
            if outcome.stopped:
                continue
            outcomes.append(outcome)
            if line := _line(outcome, len(photos)):
                report.say(line)
            if as_json:
                typer.echo(json.dumps(outcome.row(), ensure_ascii=False))
    _end(outcomes, len(photos))


def _line(outcome: "Outcome", photos: int) -> str:
    """What is said of one photo; nothing of a sole one that failed, whose error ends the command."""
    if outcome.error:
        return f"failed: {outcome.error}" if photos > 1 else ""
    if outcome.skipped:
        return f"{outcome.input}: done already"
    added = ""
    if found := outcome.audit:
        added = f"; most was added at {found['left']},{found['top']}: {found['added']} levels; map: {found['map']}"
    notes = "".join(f"; {note}" for note in outcome.notes)
    return f"{outcome.input} → {outcome.output} ({outcome.variant}, {outcome.seconds:.1f} s){added}{notes}"


def _end(outcomes: "list[Outcome]", photos: int) -> None:
    """The summary and the exit code."""
    failed = [outcome.failure for outcome in outcomes if outcome.failure]
    missing = photos - len(outcomes)
    if photos == 1 and failed:
        raise failed[0]
    if photos > 1:
        skipped = sum(outcome.skipped for outcome in outcomes)
        done = len(outcomes) - len(failed) - skipped
        counts = [f"{done} of {photos} photos restored", f"{len(failed)} failed"]
        counts += [f"{skipped} done already"] if skipped else []
        counts += [f"{missing} not begun"] if missing else []
        typer.echo(", ".join(counts), err=True)
        for error in failed:
            typer.echo(f"  {error}", err=True)
    if missing:
        typer.echo("mimdit: interrupted; nothing is half written, --skip-done goes on from here", err=True)
        raise typer.Exit(_INTERRUPTED)
    if failed:
        raise typer.Exit(1)
