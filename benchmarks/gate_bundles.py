"""Bundles through the gate: measured here, then held to a baseline or to each other."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mimdit.benchmarks.gate import gate, gate_results, verdict_of
from mimdit.benchmarks.gate_latency import ROUNDS, race
from mimdit.benchmarks.gate_page import Crop
from mimdit.benchmarks.gate_rules import Rules
from mimdit.benchmarks.measured import crops_of, measure, photo_groups
from mimdit.benchmarks.run_file import Run
from mimdit.benchmarks.verdict import Check, Finding, Verdict
from mimdit.benchmarks.worst import worst_crops
from mimdit.errors import NotComparableError

if TYPE_CHECKING:
    from mimdit.benchmarks.golden import Golden
    from mimdit.bundle import Bundle

__all__ = ["Gated", "Photos", "gate_against", "gate_bundle"]

Progress = Callable[[int], Callable[[], object]]  # how many steps there will be → what is called after each


@dataclass(frozen=True)
class Photos:
    """What is restored: photos with their truths, at most `limit` of each degradation; by default the example crops."""

    folder: Path | None = None
    truth: Path | None = None
    limit: int | None = None
    golden: "Golden | None" = None


@dataclass(frozen=True)
class Gated:
    """An answer, what it was read from, the photos to look at, and times of a race (title → seconds)."""

    verdict: Verdict
    run: Run
    crops: Sequence[Crop]
    times: Mapping[str, Sequence[float]] = field(default_factory=dict)


def gate_bundle(
    bundle: "Bundle",
    baseline: Run,
    rules: Rules,
    checks: Collection[Check],
    photos: Photos,
    *,
    command: str,
    threads: int | None,
    progress: Progress = lambda total: lambda: None,
) -> Gated:
    """Measure a bundle on the photos of a baseline, and hold it to that."""
    count = crops_of(baseline)
    if photos.folder is None and count is None:
        raise NotComparableError("the baseline has photos of its own: name them again with --photos and --truth")
    groups = photo_groups(photos.folder, photos.truth, photos.limit or count)
    run = measure([bundle], groups, command=command, threads=threads, golden=photos.golden, progress=progress)
    verdict = gate(run, baseline, rules, checks)
    return Gated(verdict, run, worst_crops(verdict, groups, bundle, None, threads))


def gate_against(
    new: "Bundle",
    old: "Bundle",
    rules: Rules,
    checks: Collection[Check],
    photos: Photos,
    *,
    command: str,
    threads: int | None,
    progress: Progress = lambda total: lambda: None,
) -> Gated:
    """Measure two bundles in turns: the new one may differ from the old one by no more than the rules say."""
    groups = photo_groups(photos.folder, photos.truth, photos.limit)
    run = measure([new, old], groups, command=command, threads=threads, golden=photos.golden, progress=progress)
    now, before = run.results
    findings = gate_results(now, before, rules, [check for check in checks if check != "latency"])
    times: dict[str, Sequence[float]] = {}
    if "latency" in checks and now.latency is not None:
        variant = now.latency.variant
        if variant in old.variants:
            ran = race(new, old, variant, rules.latency, threads=threads, advance=progress(ROUNDS))
            findings.append(ran.finding)
            times = {f"new, {now.name}": ran.new, f"old, {before.name}": ran.old}
        else:
            findings.append(_no_race(variant))
    verdict = verdict_of(findings, run, now=[now], before=[before])
    return Gated(verdict, run, worst_crops(verdict, groups, new, old, threads), times)


def _no_race(variant: str) -> Finding:
    note = "the old bundle has no such variant: nothing to race against"
    return Finding(check="latency", subject=f"a tile, {variant}", outcome=None, unit="ms", note=note)
