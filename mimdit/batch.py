"""Which photos a command reads and where each result goes. Touches names only, no pixels."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mimdit.errors import PhotoError
from mimdit.image import SUFFIXES, check_suffix, result_suffix

__all__ = ["Job", "plan"]


@dataclass(frozen=True)
class Job:
    """One photo to restore. Where `error` says why it cannot be, `output` is None."""

    input: Path
    output: Path | None
    error: PhotoError | None = None


def plan(inputs: Sequence[Path], out: Path) -> list[Job]:
    """One job a photo, in a stable order. A folder is searched to its depths and mirrored below `out`.

    One input file and an `out` with a suffix: that file, in that format. Everything else goes into the folder `out`
    under its own name. Hidden files and what already lies in `out` are not taken from a folder. Raises PhotoError
    where `out` itself does not fit; what is wrong with one input stands in its job.
    """
    if out.suffix and not out.is_dir():
        if len(inputs) == 1 and not inputs[0].is_dir():
            check_suffix(out)
            return [Job(inputs[0], out)]
        if out.suffix.lower() in SUFFIXES:
            raise PhotoError(f"{out} is one file, but the input is a folder or several photos: name a folder")
    jobs: list[Job] = []
    for path in inputs:
        jobs += _folder_jobs(path, out) if path.is_dir() else [Job(path, out / _result_name(Path(path.name)))]
    return _each_output_once(jobs)


def _folder_jobs(folder: Path, out: Path) -> list[Job]:
    unreadable: list[OSError] = []
    photos: list[Path] = []
    result = out.resolve()
    for place, folders, names in os.walk(folder, onerror=unreadable.append):
        here = Path(place)
        folders[:] = sorted(n for n in folders if not n.startswith(".") and (here / n).resolve() != result)
        photos += [here / n for n in sorted(names) if not n.startswith(".") and Path(n).suffix.lower() in SUFFIXES]
    jobs = [Job(photo, out / _result_name(photo.relative_to(folder))) for photo in photos]
    for error in unreadable:
        jobs.append(_failed(Path(error.filename), f"cannot be searched ({error.strerror}): check its permissions"))
    return jobs or [_failed(folder, f"holds no photos; looked for {' '.join(SUFFIXES)}")]


def _result_name(path: Path) -> Path:
    """The same name, its suffix one that is written: a GIF becomes a PNG, a RAW file a TIFF."""
    return path.with_suffix(result_suffix(path.suffix))


def _each_output_once(jobs: list[Job]) -> list[Job]:
    """The same jobs, of which none would write over another's result."""
    first: dict[Path, Path] = {}
    checked = []
    for job in jobs:
        if job.output is not None and job.output in first:
            reason = f"would go to {job.output}, as {first[job.output]} does: restore it into another folder"
            job = _failed(job.input, reason)
        elif job.output is not None:
            first[job.output] = job.input
        checked.append(job)
    return checked


def _failed(path: Path, reason: str) -> Job:
    return Job(path, None, PhotoError(f"{path}: {reason}"))
