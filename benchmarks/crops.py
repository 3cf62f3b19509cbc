"""The photos of a gate that brings none of its own: crops of the CC0 examples of the package, degraded here.

One degradation a variant. Enough of them for an interval, small enough for every push: one tile each.
"""

from functools import partial

import numpy as np

from mimdit.benchmarks.datasets import Case, Group, Pair
from mimdit.benchmarks.synthetic import SYNTHETIC, Synthetic, degraded
from mimdit.example_photos import EXAMPLES, read_examples
from mimdit.image import load

__all__ = ["CROPS", "DATASET", "crop_groups"]

CROPS = 40  # of each degradation
DATASET = "crops"

_SIDE = 96  # px: 15 of them lie side by side in each of the three examples of 480×320 px
_DEGRADATIONS = ("noise-25", "defocus", "haze", "rain", "lowlight", "jpeg-10", "haze+noise+jpeg")


def crop_groups(count: int = CROPS) -> list[Group]:
    """`count` crops of each degradation, taken from the examples in turn; at most 45. Raises PhotoError."""
    truths = dict.fromkeys(example.truth for example in read_examples())
    photos = [(name.partition(".")[0], load(EXAMPLES / name).pixels) for name in truths]
    places = [_crops(name, photo) for name, photo in photos]
    crops = [crop for turn in zip(*places, strict=True) for crop in turn][:count]
    wanted = {synthetic.name: synthetic for synthetic in SYNTHETIC if synthetic.name in _DEGRADATIONS}
    return [_group(wanted[name], crops) for name in _DEGRADATIONS]


def _crops(name: str, photo: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """(name, u8[96,96,3]) of every whole crop, spread over the photo so that the first few are far apart."""
    places = [
        (top, left)
        for top in range(0, photo.shape[0] - _SIDE + 1, _SIDE)
        for left in range(0, photo.shape[1] - _SIDE + 1, _SIDE)
    ]
    order = np.random.RandomState(len(places)).permutation(len(places))
    return [(f"{name} {y},{x}", photo[y : y + _SIDE, x : x + _SIDE]) for y, x in (places[i] for i in order)]


def _group(synthetic: Synthetic, crops: list[tuple[str, np.ndarray]]) -> Group:
    cases = tuple(Case(name, partial(_pair, name, truth, synthetic)) for name, truth in crops)
    return Group(synthetic.name, DATASET, synthetic.variant, cases, sigma_255=synthetic.sigma_255)


def _pair(name: str, truth: np.ndarray, synthetic: Synthetic) -> Pair:
    return Pair(degraded(truth, synthetic, name), truth)
