"""Which factor of a bundle costs: one at a time is put back to what it was, and what that recovers is measured.

ONNX files are crossed tensor by tensor (`mimdit.benchmarks.hybrid`). For any other target, a factor is put back by a
bundle that was built so (`mimdit.benchmarks.mixes`); a single factor that differs needs neither.
"""

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
from mimdit.benchmarks.measured import choice_for
from mimdit.benchmarks.methods import bundle_method
from mimdit.benchmarks.mixes import good_ones_of, told_apart
from mimdit.errors import NotComparableError

if TYPE_CHECKING:
    from mimdit.bundle import Bundle

__all__ = ["Bisection", "Suspect", "bisect"]

_NOTHING = 0.02  # dB: a smaller loss in the mean has no culprit


@dataclass(frozen=True)
class Suspect:
    """One factor, or several that cannot be told apart here. dB in the mean over the photos of one degradation; None
    where no bundle has it so."""

    name: str
    recovered: float | None  # by putting the good bundle's into the bad one
    lost: float | None  # by putting the bad bundle's into the good one

    @property
    def cost(self) -> float:
        return max(figure for figure in (self.recovered, self.lost, 0.0) if figure is not None)


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
    between: Sequence["Bundle"] = (),
    *,
    threads: int | None = None,
    tell: Callable[[str], object] = lambda line: None,
) -> Bisection:
    """between: bundles with some factors of either. Raises NotComparableError where the two differ in nothing or have
    other variants, or where one is not between them."""
    if set(good.variants) != set(bad.variants):
        raise NotComparableError(f"{good.path.name} and {bad.path.name} have other variants: build both alike")
    if not (factors := differing(factors_of(good), factors_of(bad))):
        raise NotComparableError(f"{good.path.name} and {bad.path.name} do not differ in any factor")

    def measure(bundle: "Bundle") -> dict[str, float]:
        return _decibels(bundle, groups, threads)

    before, after = measure(good), measure(bad)
    worst = min(before, key=lambda name: after[name] - before[name])
    tell(f"{worst}: {before[worst]:.3f} dB was, {after[worst]:.3f} is")
    ends = before[worst], after[worst]

    def level(bundle: "Bundle") -> float:
        return measure(bundle)[worst]

    crossed = not between and len(factors) > 1 and {good.manifest.target, bad.manifest.target} == {"onnx"}
    suspects = _crossed(good, bad, ends, level) if crossed else _mixed(good, bad, between, ends, level)
    for suspect in suspects:
        tell(f"{suspect.name}: costs up to {suspect.cost:.3f} dB")
    loss = ends[0] - ends[1]
    first = max(suspects, key=lambda suspect: (suspect.recovered or 0.0) + (suspect.lost or 0.0))
    guilty = loss >= _NOTHING and first.cost >= loss / 2
    return Bisection(worst, *ends, tuple(suspects), first.name if guilty else None)


def _crossed(
    good: "Bundle", bad: "Bundle", ends: tuple[float, float], level: "Callable[[Bundle], float]"
) -> list[Suspect]:
    """Each factor in turn, by crossing the two bundles' files."""
    suspects = []
    with tempfile.TemporaryDirectory(prefix="mimdit-bisect-") as scratch:
        for number, names in enumerate(_suspects(good, bad)):
            healed, harmed = _exchanged(good, bad, names, Path(scratch, str(number)))
            recovered, lost = level(healed) - ends[1], ends[0] - level(harmed)
            suspects.append(Suspect(" + ".join(names), round(recovered, 4), round(lost, 4)))
    return suspects


def _mixed(
    good: "Bundle",
    bad: "Bundle",
    between: Sequence["Bundle"],
    ends: tuple[float, float],
    level: "Callable[[Bundle], float]",
) -> list[Suspect]:
    """Each group of factors that some bundle tells apart, by the bundles that have it from one side alone."""
    first, last = factors_of(good), factors_of(bad)
    factors = differing(first, last)
    mixes = {frozenset(factors): ends[0], frozenset[Factor](): ends[1]}
    for bundle in between:
        mixes.setdefault(good_ones_of(factors_of(bundle), first, last, bundle.path.name), level(bundle))
    suspects = []
    for names in told_apart(factors, list(mixes)):
        healed, harmed = mixes.get(frozenset(names)), mixes.get(frozenset(factors) - frozenset(names))
        recovered = None if healed is None else round(healed - ends[1], 4)
        lost = None if harmed is None else round(ends[0] - harmed, 4)
        suspects.append(Suspect(" + ".join(names), recovered, lost))
    return suspects


def _suspects(good: "Bundle", bad: "Bundle") -> list[tuple[Factor, ...]]:
    """The factors that differ, one by one; those that are the graph itself stand together."""
    found = differing(factors_of(good), factors_of(bad))
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
    rows = evaluate(groups, [bundle_method(bundle, [choice_for(groups)], threads)], command="").rows
    figures: dict[str, list[float]] = {}
    for row in rows:
        figures.setdefault(row.degradation, []).append(row.restored.psnr or 0.0)
    return {name: float(np.mean(values)) for name, values in figures.items()}
