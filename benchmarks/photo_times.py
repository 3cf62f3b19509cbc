"""Photo-to-photo times: a decoded photo in, a restored one out, with dispatcher, views, tiles and blending.

Reading and writing files is left out: an app has its photos in memory, and a codec is not the bundle's doing.
"""

import time
from collections.abc import Callable, Sequence

from mimdit.benchmarks.datasets import Group
from mimdit.benchmarks.latency import rounds
from mimdit.benchmarks.methods import Method
from mimdit.errors import BundleError

__all__ = ["PhotoName", "PhotoTimes", "photo_times", "restore_all"]

PhotoName = tuple[str, str, str, str | None]  # degradation, data set, image, what was asked for
PhotoTimes = dict[PhotoName, tuple[float, tuple[float, ...]]]  # → megapixels, seconds


def photo_times(
    methods: Sequence[Method], groups: Sequence[Group], seed: int, advance: Callable[[], object]
) -> list[PhotoTimes]:
    """Each method restores each photo once more, in turns. Their models are loaded. A photo that fails has no times."""
    times: list[PhotoTimes] = [{} for _ in methods]
    turns = rounds(len(methods), seed)
    for group in groups:
        attempts = [method.attempts(group) for method in methods]
        for case in group.cases:
            photo = case.load().input
            for i in next(turns):
                for attempt in attempts[i]:
                    began = time.perf_counter()
                    try:
                        attempt.restore(photo)
                    except BundleError:
                        continue  # its row says why
                    seconds = time.perf_counter() - began
                    name = (group.degradation, group.dataset, case.image, attempt.variant)
                    times[i][name] = (photo.shape[0] * photo.shape[1] / 1e6, (seconds,))
                advance()
    return times


def restore_all(method: Method, groups: Sequence[Group]) -> tuple[int, float]:
    """Restore every photo and throw the results away, for a meter that watches. Returns photos and megapixels."""
    photos, megapixels = 0, 0.0
    for group in groups:
        for case in group.cases:
            photo = case.load().input
            for attempt in method.attempts(group):
                attempt.restore(photo)
                photos += 1
                megapixels += photo.shape[0] * photo.shape[1] / 1e6
    return photos, megapixels
