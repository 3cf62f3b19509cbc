"""What the gate measures itself: a bundle for a baseline or against one, or two of them in turns."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mimdit.benchmarks.bench import Plan, bench, steps
from mimdit.benchmarks.crops import CROPS, DATASET, crop_groups
from mimdit.benchmarks.datasets import MANIFEST, Group, folder_groups, manifest_groups, select
from mimdit.benchmarks.methods import AUTO, MATCHED
from mimdit.benchmarks.run_file import Run
from mimdit.errors import MimditError

if TYPE_CHECKING:
    from mimdit.benchmarks.golden import Golden
    from mimdit.bundle import Bundle

__all__ = ["choice_for", "crops_of", "measure", "photo_groups"]

_SAMPLES = 20  # graph times that a baseline keeps: for the record, latency is gated in turns


def photo_groups(photos: Path | None, truth: Path | None, count: int | None) -> list[Group]:
    """A data set with a manifest, two folders of equal names, or by default the crops. Raises MimditError."""
    if photos is None:
        if truth is not None:
            raise MimditError("--truth names the truths of --photos: name both, or neither for the example crops")
        return crop_groups(count or CROPS)
    if truth is not None:
        return select(folder_groups(photos, truth), limit=count)
    if not (photos / MANIFEST).is_file():
        raise MimditError(f"{photos}: expected --truth DIR beside it, or a {MANIFEST} in it: accuracy needs a truth")
    return select(manifest_groups(photos), limit=count)


def crops_of(baseline: Run) -> int | None:
    """How many crops of each degradation a baseline was recorded with; None where it has photos of its own."""
    images = baseline.results[0].images
    if not images or any(image.dataset != DATASET for image in images):
        return None
    return sum(image.degradation == images[0].degradation for image in images)


def choice_for(groups: Sequence[Group]) -> str:
    """How a variant is chosen: the one that belongs to each photo, `auto` where nobody knows what is wrong."""
    return AUTO if any(group.degradation == "unknown" for group in groups) else MATCHED


def measure(
    bundles: Sequence["Bundle"],
    groups: Sequence[Group],
    *,
    command: str,
    threads: int | None,
    golden: "Golden | None" = None,
    progress: Callable[[int], Callable[[], object]] = lambda total: lambda: None,
) -> Run:
    """Restore and time everything. Raises as `mimdit.benchmarks.bench.bench`.

    `progress` hears how many steps there will be, and gives what is called after each.
    """
    plan = Plan(choice=choice_for(groups), threads=threads, samples=_SAMPLES, roofline=True)
    advance = progress(steps(len(bundles), groups, plan))
    return bench(bundles, groups, plan, command=command, golden=golden, advance=advance)
