"""One photo, from file to file: read, restored, written, and told about in one object."""

import time
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from mimdit.batch import Job
from mimdit.errors import BundleError, MimditError, MissingPackageError, PhotoError
from mimdit.files import write_file
from mimdit.image import MAX_MEGAPIXELS, Photo, check_suffix, load, save
from mimdit.image.credentials import Credentials
from mimdit.image.provenance import with_provenance
from mimdit.runtimes.audit import Audit, audit
from mimdit.runtimes.explain import provenance_of
from mimdit.runtimes.memory import Memory
from mimdit.runtimes.restore import Restorer, VariantChoice
from mimdit.runtimes.tiler import Progress, Window

if TYPE_CHECKING:
    from mimdit.bundle import Bundle

__all__ = ["Outcome", "PhotoRestorer", "Settings"]


@dataclass(frozen=True)
class Settings:
    """What is asked for, the same for all photos of a run."""

    variant: VariantChoice = "auto"
    strength: float = 1.0
    preview: Window | None = None
    audit: bool = False
    overwrite: bool = False
    skip_done: bool = False
    strip_metadata: bool = False
    credentials: Credentials | None = None
    max_megapixels: float = MAX_MEGAPIXELS


@dataclass
class Outcome:
    """What became of one photo: the object that --json prints. Unknown is null.

    `failure` is the error behind the text in `error`; `stopped` says that Ctrl-C came before the photo was done.
    """

    input: str
    output: str | None = None
    variant: str | None = None
    megapixels: float | None = None
    seconds: float | None = None
    runtime: str | None = None
    bundle: str | None = None
    error: str | None = None
    skipped: bool = False
    audit: dict[str, Any] | None = None
    notes: tuple[str, ...] = field(default=(), repr=False)
    failure: MimditError | None = field(default=None, repr=False)
    stopped: bool = field(default=False, repr=False)

    def row(self) -> dict[str, Any]:
        """The object that --json prints."""
        internal = ("failure", "stopped", "notes")
        return {name: value for name, value in asdict(replace(self, failure=None)).items() if name not in internal}


class _StoppedError(Exception):
    """Raised between two tiles when a stop was asked for."""


class PhotoRestorer:
    """Restores photo files, from several threads if need be, until `stop` is set."""

    def __init__(self, bundle: "Bundle", restorer: Restorer, settings: Settings, memory: Memory, stop: Event):
        self._bundle = bundle
        self._restorer = restorer
        self._settings = settings
        self._memory = memory
        self._stop = stop

    def restore(self, job: Job, progress: Progress | None) -> Outcome:
        """What is wrong with the photo stands in the outcome; raises only what would meet the next photo as well."""
        outcome = Outcome(str(job.input), bundle=self._bundle.manifest.id)
        try:
            self._restore(job, outcome, self._unless_stopped(progress))
        except (BundleError, MissingPackageError):
            raise
        except MimditError as error:
            outcome.failure, outcome.error = error, str(error)
        except _StoppedError:
            outcome.stopped = True
        return outcome

    def _restore(self, job: Job, outcome: Outcome, progress: Progress) -> None:
        settings = self._settings
        if job.output is None:
            raise job.error or PhotoError(f"{job.input}: has no output")
        check_suffix(job.output)
        if job.output.exists() and settings.skip_done:  # outputs appear whole, so one that exists is done
            outcome.output, outcome.skipped = str(job.output), True
            return
        if job.output.exists() and not settings.overwrite:  # before the work, not only before the writing
            raise PhotoError(f"{job.output}: exists already: pass --overwrite to replace it, or choose another name")
        began = time.perf_counter()
        with self._memory.room() as admit:
            progress(0, 1)
            photo = load(job.input, max_megapixels=settings.max_megapixels, admit=admit)
            outcome.megapixels = round(photo.megapixels, 6)
            self._restore_pixels(photo, job.input, job.output, outcome, progress)
        outcome.output = str(job.output)
        outcome.seconds = round(time.perf_counter() - began, 3)

    def _restore_pixels(self, photo: Photo, source: Path, output: Path, outcome: Outcome, progress: Progress) -> None:
        settings, window = self._settings, self._settings.preview
        own = None if settings.audit or window is not None else photo.in_place()
        working = photo.working() if own is None else own
        restored = self._restorer.restore(
            working,
            settings.variant,
            progress,
            strength=settings.strength,
            window=window,
            in_place=not settings.audit,
        )
        outcome.variant, outcome.runtime = restored.variant or "none", restored.runtime
        found = None  # before the pixels go back into the file's colours
        if settings.audit and restored.variants:
            found = audit(np.asarray(working) if window is None else window.of(working), restored.pixels)
        untouched = restored.variant is None and window is None and not settings.strip_metadata
        if untouched and output.suffix == source.suffix:
            # Nothing to restore: encoding again would change the pixels all the same.
            write_file(output, source.read_bytes(), overwrite=settings.overwrite)
            return
        if window is not None:
            photo = photo.cropped(window.top, window.left, window.height, window.width)
        if settings.strip_metadata:
            photo = photo.without_metadata()
        if own is None:
            photo = photo.with_working(restored.pixels)
        seal = None
        if restored.variants:
            told = provenance_of(self._bundle, restored, source, settings.strength, window)
            photo = with_provenance(photo, told)
            if settings.credentials:
                format = check_suffix(output).name
                seal = partial(settings.credentials.sign, format=format, source=source, provenance=told)
        outcome.notes = photo.notes + save(photo, output, overwrite=settings.overwrite, seal=seal)
        if found is not None:
            outcome.audit = self._write_audit(found, output)

    def _write_audit(self, found: Audit, output: Path) -> dict[str, Any]:
        """Writes the map beside the output, one pixel for 16 px, ten grey levels for one of the photo."""
        from PIL import Image

        path = output.with_name(f"{output.name}.audit.png")
        image = Image.fromarray(np.clip(found.map * 10, 0, 255).astype(np.uint8))
        write_file(path, lambda file: image.save(file, format="PNG"), overwrite=self._settings.overwrite)
        figures = {"added": round(found.added, 2), "typical": round(found.typical, 2)}
        return {"map": str(path), "top": found.top, "left": found.left, **figures}

    def _unless_stopped(self, progress: Progress | None) -> Progress:
        def tell(done: int, total: int) -> None:
            if self._stop.is_set():
                raise _StoppedError
            if progress is not None:
                progress(done, total)

        return tell
