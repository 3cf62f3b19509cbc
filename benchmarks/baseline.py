"""Accepting a run: it becomes the baseline that later runs are held to, and carries the anchor of its line on.

Losses too small for one gate add up over releases. The anchor is, for each degradation, the best that the line of
baselines ever reached; a new baseline takes it over, so that losses are counted from there.
"""

from collections.abc import Sequence
from statistics import fmean

from mimdit.benchmarks.run_file import Accepted, ImageResult, Run
from mimdit.errors import MimditError

__all__ = ["accept"]


def accept(run: Run, reason: str, created: str, previous: Run | None = None) -> Run:
    """A run of one bundle → a baseline. `created`: UTC, ISO 8601. Raises MimditError for a run that cannot be one."""
    if len(run.results) != 1:
        raise MimditError(f"expected a run of one bundle, found {len(run.results)}: a baseline is of one")
    if failed := next((image for image in run.results[0].images if image.error), None):
        raise MimditError(f"{failed.image} was not restored ({failed.error}): a baseline is a run without failures")
    if run.conditions.invalid:
        raise MimditError(f"the run is invalid ({run.conditions.invalid}): measure it anew")
    images = run.results[0].images
    anchor = previous.accepted.anchor if previous and previous.accepted else ()
    return run.model_copy(update={"accepted": Accepted(created=created, reason=reason, anchor=_anchor(images, anchor))})


def _anchor(images: Sequence[ImageResult], anchor: Sequence[ImageResult]) -> tuple[ImageResult, ...]:
    """The better of both for each degradation; the new one's where the photos are others."""
    best: list[ImageResult] = []
    for group in dict.fromkeys((image.degradation, image.dataset) for image in images):
        new, old = (
            [image for image in some if (image.degradation, image.dataset) == group] for some in (images, anchor)
        )
        same = {image.image for image in new} == {image.image for image in old}
        best += old if same and _mean(old) > _mean(new) else new
    return tuple(best)


def _mean(images: Sequence[ImageResult]) -> float:
    return fmean([image.psnr for image in images if image.psnr is not None] or [0.0])
