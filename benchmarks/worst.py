"""The photos that lost most, restored once more to be looked at."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mimdit.benchmarks.datasets import Group
from mimdit.benchmarks.gate_page import Crop
from mimdit.benchmarks.measured import choice_for
from mimdit.benchmarks.methods import Method, bundle_method
from mimdit.benchmarks.verdict import Verdict
from mimdit.errors import BundleError

if TYPE_CHECKING:
    from mimdit.bundle import Bundle

__all__ = ["worst_crops"]

_SIDE = 256  # px: what is shown of a larger photo, around its largest error
_SHOWN = 8


def worst_crops(
    verdict: Verdict, groups: Sequence[Group], new: "Bundle", old: "Bundle | None", threads: int | None
) -> list[Crop]:
    """For each degradation the photo that lost most, the worst first: beside the old bundle's, or else the truth."""
    found = [f for f in verdict.findings if f.check == "accuracy" and f.subject.endswith(", worst photo")]
    cases = {
        (f"{group.degradation} ({group.dataset})", case.image): (group, case)
        for group in groups
        for case in group.cases
    }
    choice = choice_for(groups)
    mine_by = bundle_method(new, [choice], threads)
    theirs_by = None if old is None else bundle_method(old, [choice], threads)
    crops = []
    for finding in sorted(found, key=lambda finding: finding.change or 0.0)[:_SHOWN]:
        group, case = cases[finding.subject.removesuffix(", worst photo"), finding.note]
        pair = case.load()
        try:
            mine = _restored(mine_by, group, pair.input)
            theirs = pair.truth if theirs_by is None else _restored(theirs_by, group, pair.input)
        except BundleError:
            continue  # there is nothing to look at; the table says why
        if theirs is not None:
            window = _window(mine, theirs)
            title = f"{group.degradation}, {case.image}: {finding.change or 0.0:+.2f} dB"
            crops.append(Crop(title, theirs[window], mine[window], "truth" if theirs_by is None else "old", "new"))
    return crops


def _restored(method: Method, group: Group, photo: np.ndarray) -> np.ndarray:
    return method.attempts(group)[0].restore(photo)[0]


def _window(a: np.ndarray, b: np.ndarray) -> tuple[slice, slice]:
    """256×256 px around the pixel in which two photos differ most, inside the photo."""
    error = np.abs(a.astype(np.int16) - b).sum(2)
    y, x = np.unravel_index(int(error.argmax()), error.shape)
    top, left = (max(min(int(at) - _SIDE // 2, size - _SIDE), 0) for at, size in zip((y, x), error.shape, strict=True))
    return slice(top, top + _SIDE), slice(left, left + _SIDE)
