"""Where routers are led during warm-up: a fixed table of degradation family → sub-expert, then they are set free.

Six families share three sub-experts in each group, so two families share one. Which two changes from place to place
after the five perfect matchings of K6 (a one-factorisation): any two families meet in a fifth of the places and part in
the rest. So another variant's plan is a different network, while every sub-expert still learns from two families.
"""

import numpy as np

from mimdit.routing.plan import GROUPS
from mimdit.targets import DISPATCHER_CLASSES, VARIANT_DEGRADATIONS, Degradation

# Each row pairs the six families (indices into DISPATCHER_CLASSES); the pair's position is its sub-expert.
_MATCHINGS = (
    ((0, 5), (1, 4), (2, 3)),
    ((1, 5), (2, 0), (3, 4)),
    ((2, 5), (3, 1), (4, 0)),
    ((3, 5), (4, 2), (0, 1)),
    ((4, 5), (0, 3), (1, 2)),
)


def family_of(kind: Degradation) -> int:
    """Index into DISPATCHER_CLASSES of the single variant that is made for a degradation."""
    return next(i for i, name in enumerate(DISPATCHER_CLASSES) if kind in VARIANT_DEGRADATIONS[name])


def prior_experts(family: int, blocks: int) -> np.ndarray:
    """Sub-experts i64[blocks,4] that the warm-up prescribes for a family; −1 (free) everywhere for family −1."""
    table = np.full((blocks, len(GROUPS)), -1, np.int64)
    if family < 0:
        return table
    for place in range(blocks * len(GROUPS)):
        pairs = _MATCHINGS[place % len(_MATCHINGS)]
        table[divmod(place, len(GROUPS))] = next(i for i, pair in enumerate(pairs) if family in pair)
    return table
