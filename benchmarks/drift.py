"""How far a device is from the reference: a bundle's outputs against a golden's, photo by photo."""

from collections import defaultdict
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from mimdit.benchmarks.golden import Golden, pixels
from mimdit.benchmarks.quality import decibels
from mimdit.benchmarks.run_file import DriftResult, Reference
from mimdit.runtimes.restore import Restorer

if TYPE_CHECKING:
    from mimdit.bundle import Bundle

__all__ = ["drift", "reference_of"]


def drift(
    golden: Golden, bundle: "Bundle", threads: int | None = None, provider: str | None = None
) -> tuple[DriftResult, ...]:
    """Each recorded input through the variant that it was recorded for; those that the bundle lacks are left out."""
    restorer = Restorer(bundle, threads=threads, provider=provider)
    results = []
    for entry in golden.content.entries:
        if entry.variant not in bundle.variants:
            continue
        mine = restorer.restore(pixels(golden, entry.input), entry.variant).pixels
        theirs = pixels(golden, entry.output)
        lost = None
        if entry.truth is not None and entry.psnr is not None:
            lost = round(entry.psnr - decibels(mine, pixels(golden, entry.truth)), 4)
        results.append(
            DriftResult(
                degradation=entry.degradation,
                image=entry.image,
                agreement=decibels(mine, theirs),
                max_levels=int(np.abs(mine.astype(np.int16) - theirs).max()),
                lost=lost,
            )
        )
    return tuple(results)


def reference_of(golden: Golden) -> Reference:
    """What a run file says of the golden that it was held to."""
    content, cuda = golden.content, golden.content.cuda
    known: dict[str, list[float]] = defaultdict(list)
    for entry in content.entries:
        if entry.psnr is not None:
            known[entry.degradation].append(entry.psnr)
    return Reference(
        golden=content.id,
        checkpoint=content.checkpoint,
        steps=content.steps,
        device=content.computed_on,
        psnr={name: round(fmean(values), 4) for name, values in known.items()},
        cuda_device=cuda and cuda.device,
        cuda_seconds=cuda and cuda.seconds.seconds,
        sd35_medium_seconds=cuda and cuda.sd35_medium_seconds and cuda.sd35_medium_seconds.seconds,
    )
