"""An accuracy run's means, written into the manifest and the card of the bundle that was measured."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mimdit.benchmarks.accuracy_report import Summary
from mimdit.benchmarks.datasets import CLEAN
from mimdit.bundle import CARD_NAME, write_bundle
from mimdit.manifest import AccuracyRow, Manifest
from mimdit.targets import Variant

if TYPE_CHECKING:
    from mimdit.bundle import Bundle

__all__ = ["accuracy_rows", "record"]


def record(bundle: "Bundle", summaries: Iterable[Summary]) -> Manifest:
    """Replace the rows that were measured anew, keep the others, write the bundle in one step. Raises MimditError.

    The id stays: it names what went into the bundle, not what is known of it.
    """
    manifest = bundle.manifest
    rows = {(row.variant, row.degradation, row.dataset): row for row in manifest.accuracy}
    rows |= {(row.variant, row.degradation, row.dataset): row for row in accuracy_rows(bundle, summaries)}

    def fill(folder: Path) -> None:
        for entry in manifest.files:
            if entry.path != CARD_NAME:  # written anew, from the new rows
                (folder / entry.path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(bundle.path / entry.path, folder / entry.path)

    blank = Manifest.model_validate({**dict(manifest), "files": (), "accuracy": tuple(rows.values())})
    return write_bundle(bundle.path, blank, fill, overwrite=True)


def accuracy_rows(bundle: "Bundle", summaries: Iterable[Summary]) -> list[AccuracyRow]:
    """What a bundle may say of its variants: means over degraded photos with a truth, no photo failed."""
    known: dict[str | None, Variant] = {name: name for name in bundle.variants}
    rows = []
    for summary in summaries:
        variant = known.get(summary.variant)
        before, after = summary.input.psnr, summary.restored.psnr
        ours = summary.method == bundle.path.name and summary.degradation != CLEAN and not summary.failed
        if ours and variant is not None and before is not None and after is not None:
            rows.append(
                AccuracyRow(
                    variant=variant,
                    degradation=summary.degradation,
                    dataset=summary.dataset,
                    images=summary.images,
                    input_psnr=round(before, 4),
                    psnr=round(after, 4),
                )
            )
    return rows
