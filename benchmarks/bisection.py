"""Which factor of a bundle costs: one at a time is put back to what it was, and what that recovers is measured."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mimdit.benchmarks.accuracy import evaluate
from mimdit.benchmarks.datasets import Group
from mimdit.benchmarks.factors import Factor, differing, factors_of
from mimdit.benchmarks.hybrid import cross, same_graph
from mimdit.benchmarks.methods import MATCHED, bundle_method
from mimdit.errors import NotComparableError

if TYPE_CHECKING:
    from mimdit.bundle import Bundle

__all__ = ["Bisection", "Suspect", "bisect"]

_NOTHING = 0.02  # dB: a smaller loss in the mean has no culprit


@dataclass(frozen=True)
class Suspect:
    """One factor, or several that cannot be told apart here. dB in the mean over the photos of one degradation."""

    name: str
    recovered: float  # by putting the good bundle's into the bad one
    lost: float  # by putting the bad bundle's into the good one


@dataclass(frozen=True)
class Bisection:
    """What was found. `culprit` is None where there is no loss, or no factor explains half of it."""

    degradation: str  # where most was lost
    good: float  # dB
    bad: float
    suspects: tuple[Suspect, ...]
    culprit: str | None


def bisect(
    good: "Bundle",
    bad: "Bundle",
    groups: Sequence[Group],
    *,
    threads: int | None = None,
    tell: Callable[[str], object] = lambda line: None,
) -> Bisection:
    """Raises NotComparableError where the bundles differ in nothing or have other variants."""
    factors = _suspects(good, bad)
    with tempfile.TemporaryDirectory(prefix="mimdit-bisect-") as scratch:
        folder = Path(scratch)

        def measure(bundle: "Bundle") -> dict[str, float]:
            return _decibels(bundle, groups, threads)

        before, after = measure(good), measure(bad)
        worst = min(before, key=lambda name: after[name] - before[name])
        tell(f"{worst}: {before[worst]:.3f} dB was, {after[worst]:.3f} is")
        suspects = []
        for number, names in enumerate(factors):
            label = " + ".join(names)
            healed, harmed = _exchanged(good, bad, names, folder / str(number))
            suspect = Suspect(
                label,
                recovered=round(measure(healed)[worst] - after[worst], 4),
                lost=round(before[worst] - measure(harmed)[worst], 4),
            )
            tell(f"{label}: the good one's in the bad bundle recovers {suspect.recovered:+.3f} dB")
            suspects.append(suspect)
    loss = before[worst] - after[worst]
    first = max(suspects, key=lambda suspect: suspect.recovered + suspect.lost)
    guilty = loss >= _NOTHING and max(first.recovered, first.lost) >= loss / 2
    return Bisection(worst, before[worst], after[worst], tuple(suspects), first.name if guilty else None)


def _suspects(good: "Bundle", bad: "Bundle") -> list[tuple[Factor, ...]]:
    """The factors that differ, one by one; those that are the graph itself stand together."""
    if set(good.variants) != set(bad.variants):
        raise NotComparableError(f"{good.path.name} and {bad.path.name} have other variants: build both alike")
    found = differing(factors_of(good), factors_of(bad))
    if not found:
        raise NotComparableError(f"{good.path.name} and {bad.path.name} do not differ in any factor")
    graph: list[Factor] = [factor for factor in found if factor in ("precision", "converter")]
    if same_graph(good, bad):
        graph = []  # another converter that wrote the same graph is not to blame
    elif "plan" in found:
        graph.insert(0, "plan")  # it names other sub-experts, or cannot be told from what else changed the graph
    groups: list[tuple[Factor, ...]] = []
    for factor in found:
        if factor not in graph and factor not in ("precision", "converter"):
            groups.append((factor,))
    if graph:
        groups.append(tuple(graph))
    return groups or [found]


def _exchanged(good: "Bundle", bad: "Bundle", names: tuple[Factor, ...], folder: Path) -> "tuple[Bundle, Bundle]":
    """(the bad bundle with the good one's factors, the good bundle with the bad one's)."""
    take: tuple[Factor, ...] = names
    if names == ("weights",) and factors_of(good).plan == factors_of(bad).plan:
        take = ("weights", "plan")  # with one plan the sub-experts are weights like any other
    elif {"precision", "converter"} & set(names) or (not same_graph(good, bad) and names == ("plan",)):
        # The graph goes from one to the other, and every other tensor that fits stays at home.
        good, bad = bad, good
        take = ("weights", "calibration")
    return cross(bad, good, take, folder / "healed.mimdit"), cross(good, bad, take, folder / "harmed.mimdit")


def _decibels(bundle: "Bundle", groups: Sequence[Group], threads: int | None) -> dict[str, float]:
    """Degradation → mean PSNR, with the variant that belongs to it. A photo that fails counts as nothing restored."""
    rows = evaluate(groups, [bundle_method(bundle, [MATCHED], threads)], command="").rows
    figures: dict[str, list[float]] = {}
    for row in rows:
        figures.setdefault(row.degradation, []).append(row.restored.psnr or 0.0)
    return {name: float(np.mean(values)) for name, values in figures.items()}
