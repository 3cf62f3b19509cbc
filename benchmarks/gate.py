"""The gate: a run held to a baseline. What was measured → findings → one verdict.

Photos are paired by name, so that how difficult they are cancels out. Time, memory and energy are only held against a
figure of the same machine; from any other they are reported.
"""

import math
from collections.abc import Callable, Collection, Sequence

import numpy as np

from mimdit.benchmarks.diagnosis import contents, stage_of
from mimdit.benchmarks.gate_photos import accuracy, defects, drift, same_photos
from mimdit.benchmarks.gate_rules import Rules
from mimdit.benchmarks.gate_statistics import Interval, judge
from mimdit.benchmarks.headline import headlines
from mimdit.benchmarks.run_file import Result, Run, Samples
from mimdit.benchmarks.verdict import CHECKS, Check, Finding, Verdict, overall
from mimdit.errors import NotComparableError

__all__ = ["gate", "gate_results", "same_machine", "verdict_of"]


def gate(run: Run, baseline: Run, rules: Rules, only: Collection[Check] = CHECKS) -> Verdict:
    """Hold a run to a baseline. Raises NotComparableError where there is nothing to pair."""
    findings: list[Finding] = []
    anchors = baseline.accepted.anchor if baseline.accepted else ()
    for before in baseline.results:
        now = _partner(before, baseline.results, run.results)
        prefix = f"{now.name}: " if len(baseline.results) > 1 else ""
        found = gate_results(now, before, rules, only, anchors if len(baseline.results) == 1 else ())
        findings += [finding.model_copy(update={"subject": prefix + finding.subject}) for finding in found]
    if busy := next((why for why in (_busy(run, "the run"), _busy(baseline, "the baseline")) if why), None):
        findings = [_not_gated(finding, busy) if finding.check == "latency" else finding for finding in findings]
    if why := baseline.conditions.invalid:
        invalid = f"the baseline is invalid: {why}"
        findings = [_not_gated(f, invalid) if f.check in ("latency", "energy") else f for f in findings]
    goldens = [some.reference and some.reference.golden for some in (baseline, run)]
    if goldens[0] != goldens[1]:
        why = f"the baseline was held to another golden: {goldens[0]}"
        findings = [_not_gated(finding, why) if finding.check == "drift" else finding for finding in findings]
    return verdict_of(findings, run, now=run.results, before=baseline.results)


def verdict_of(findings: Sequence[Finding], run: Run, *, now: Sequence[Result], before: Sequence[Result]) -> Verdict:
    """One word for all findings. Times of a run that is invalid (the wrong power mode) are no times."""
    if invalid := run.conditions.invalid:
        findings = [_not_gated(f, invalid) if f.check in ("latency", "energy") else f for f in findings]
    return Verdict(
        headlines=headlines(run),
        outcome=overall(findings),
        baseline=", ".join(f"{result.name} {result.key.bundle}" for result in before),
        run=", ".join(f"{result.name} {result.key.bundle}" for result in now),
        measured=run.provenance.created,
        findings=tuple(findings),
        facts=_facts(run),
    )


def gate_results(
    now: Result, before: Result, rules: Rules, only: Collection[Check], anchor: Sequence = ()
) -> list[Finding]:
    """All findings of one bundle against one other, in the order of CHECKS."""
    if {"accuracy", "defects"} & set(only):
        same_photos(now, before)
    checks: dict[Check, Callable[[], list[Finding]]] = {
        "accuracy": lambda: accuracy(now, before, rules, anchor),
        "drift": lambda: drift(now, before, rules),
        "size": lambda: _size(now, before, rules),
        "latency": lambda: _latency(now, before, rules),
        "memory": lambda: _memory(now, before, rules),
        "energy": lambda: _energy(now, before, rules),
        "defects": lambda: defects(now, before, rules),
        "contents": lambda: contents(now, before),
    }
    return stage_of([finding for check in CHECKS if check in only for finding in checks[check]()], now, before)


def same_machine(now: Result, before: Result) -> bool:
    """Whether times, memory and energy of two results may be held against each other."""
    return now.key.model_copy(update={"bundle": ""}) == before.key.model_copy(update={"bundle": ""})


def _busy(run: Run, name: str) -> str | None:
    """Why times of a session may not be held against those of another: other work ran beside it."""
    load = run.conditions.load_before
    if load is None or load <= run.device.cores:
        return None
    return f"the machine was busy when {name} was measured (a load of {load:.1f} on {run.device.cores} cores)"


def _partner(before: Result, baselines: Sequence[Result], results: Sequence[Result]) -> Result:
    """The result that a baseline's is compared with: the only one, or the one of its name."""
    found = [result for result in results if result.name == before.name]
    if len(results) == len(baselines) == 1:
        found = list(results)
    if len(found) != 1:
        names = ", ".join(result.name for result in results)
        raise NotComparableError(f"the baseline has {before.name}, the run has {names}: measure the same bundles")
    if found[0].key.variant != before.key.variant:
        raise NotComparableError(
            f"{before.name} was measured with --variant {before.key.variant}, {found[0].name} with "
            f"{found[0].key.variant}: measure both alike"
        )
    return found[0]


def _size(now: Result, before: Result, rules: Rules) -> list[Finding]:
    old, new = before.size.bundle_bytes, now.size.bundle_bytes
    finding = _relative("size", "the bundle", "MB", old / 1e6, new / 1e6, rules.size)
    grown = {path: size - before.size.files.get(path, 0) for path, size in now.size.files.items()}
    if finding.outcome == "regressed" and grown:
        path = max(grown, key=lambda path: (grown[path], path))
        finding = finding.model_copy(update={"note": f"{path} grew most, by {grown[path] / 1e6:.3f} MB"})
    return [finding]


def _memory(now: Result, before: Result, rules: Rules) -> list[Finding]:
    old, new = (result.memory.peak_bytes if result.memory else None for result in (before, now))
    if old is None or new is None:
        return []
    return [_same_machine_only(_relative("memory", "peak", "MB", old / 1e6, new / 1e6, rules.memory), now, before)]


def _energy(now: Result, before: Result, rules: Rules) -> list[Finding]:
    old = {energy.meter: energy.joules_per_photo for energy in before.energy}
    findings = []
    for energy in now.energy:
        earlier, joules = old.get(energy.meter), energy.joules_per_photo
        if earlier is not None and joules is not None:
            finding = _relative("energy", f"a photo, {energy.meter}", "J", earlier, joules, rules.energy)
            findings.append(_same_machine_only(finding, now, before))
    return findings


def _latency(now: Result, before: Result, rules: Rules) -> list[Finding]:
    """Medians of two sessions. Sessions of one machine differ by themselves, so only what changed by more than the
    tolerance for certain counts here; `mimdit gate NEW --against OLD` measures in turns and sees less.
    """
    if now.latency is None or before.latency is None:
        return []
    new, old = now.latency.graph, before.latency.graph
    interval = _ratio(new, old)
    outcome = judge(interval, rules.latency, floor=rules.latency)
    settled = outcome != "inconclusive"
    finding = Finding(
        check="latency",
        subject=f"a tile, {now.latency.variant}",
        outcome=outcome if settled else None,
        unit="ms",
        baseline=None if old.median is None else round(1e3 * old.median, 4),
        value=None if new.median is None else round(1e3 * new.median, 4),
        change=interval and interval.middle,
        low=interval and interval.low,
        high=interval and interval.high,
        tolerance=rules.latency,
        samples=len(new.seconds),
        note="medians of two sessions" if settled else f"two sessions do not show {rules.latency:.0%}: use --against",
    )
    return [_same_machine_only(finding, now, before)]


def _ratio(new: Samples, old: Samples) -> Interval | None:
    """The relative change of the median, faster is positive; between the far ends of both 95 % intervals."""
    if new.median_interval is None or old.median_interval is None or not new.median or not old.median:
        return None
    (new_low, new_high), (old_low, old_high) = new.median_interval, old.median_interval
    ends = (math.log(old_low / new_high), math.log(old.median / new.median), math.log(old_high / new_low))
    return Interval(*(round(end, 6) for end in ends))


def _relative(check: Check, subject: str, unit: str, old: float, new: float, tolerance: float) -> Finding:
    """A figure without samples of its own: it is what it is."""
    change = round(float(np.log(old / new)), 6) if old > 0 and new > 0 else 0.0
    return Finding(
        check=check,
        subject=subject,
        outcome=judge(Interval(change, change, change), tolerance),
        unit=unit,
        baseline=round(old, 6),
        value=round(new, 6),
        change=change,
        tolerance=tolerance,
    )


def _same_machine_only(finding: Finding, now: Result, before: Result) -> Finding:
    if same_machine(now, before):
        return finding
    old, new = before.key.model_dump(), now.key.model_dump()
    other = next(name for name in old if name != "bundle" and old[name] != new[name])
    return _not_gated(finding, f"the baseline is of another {other.replace('_', ' ')}: {old[other]}")


def _not_gated(finding: Finding, why: str) -> Finding:
    return finding.model_copy(update={"outcome": None, "note": why})


def _facts(run: Run) -> dict[str, str]:
    device, provenance = run.device, run.provenance
    return {
        "device": f"{device.processor or device.architecture}, {device.cores} cores, {device.system}",
        "instruction set": " ".join(run.results[0].key.instruction_set) or "unknown",
        "runtime": ", ".join(f"{r.key.target} {r.key.precision} on {r.key.unit}" for r in run.results[:1]),
        "threads": str(run.results[0].key.threads),
        "mimdit": f"{provenance.mimdit}{f' at {provenance.commit}' if provenance.commit else ''}",
        "command": provenance.command,
    }
