"""Bundles between a good and a bad one, each built with some factors of either: what they can tell apart.

So a factor is swapped for any target: where files cannot be crossed, somebody builds the bundle in between.
"""

from collections.abc import Sequence

from mimdit.benchmarks.factors import Factor, Factors, differing
from mimdit.errors import NotComparableError

__all__ = ["good_ones_of", "told_apart"]


def good_ones_of(mix: Factors, good: Factors, bad: Factors, name: str) -> frozenset[Factor]:
    """Of the factors in which good and bad differ, those in which `mix` is as the good one.

    Raises NotComparableError where a factor is neither the good one's nor the bad one's.
    """
    found = set()
    for factor in differing(good, bad):
        if factor not in differing(mix, good):
            found.add(factor)
        elif factor in differing(mix, bad):
            raise NotComparableError(f"{name} is not between the two: its {factor} is neither one's; rebuild it")
    return frozenset(found)


def told_apart(factors: Sequence[Factor], mixes: Sequence[frozenset[Factor]]) -> list[tuple[Factor, ...]]:
    """The factors in groups: those that every mix has from the same side stand together."""
    groups: dict[tuple[bool, ...], list[Factor]] = {}
    for factor in factors:
        groups.setdefault(tuple(factor in mix for mix in mixes), []).append(factor)
    return [tuple(group) for group in groups.values()]
