"""Where a fault was made: what the findings, the photos and the bundles' factors say together.

Evidence only ever names a stage that explains what was seen; without any, a regression has no stage and the factors
that differ are listed: `mimdit bisect` tells which of them costs.
"""

from collections.abc import Sequence

from mimdit.benchmarks.factors import Factors, differing, stale
from mimdit.benchmarks.run_file import Result
from mimdit.benchmarks.verdict import Finding, Stage

__all__ = ["contents", "stage_of"]

# How a defect's note begins or what it holds → where it was made.
_SIGNATURES: tuple[tuple[str, Stage], ...] = (
    ("not restored", "run"),
    ("black blocks", "run"),
    ("red and blue", "colour"),
    ("one pixel off", "tile"),
    ("seam", "tile"),
    ("brightness patch", "tile"),
)


def contents(now: Result, before: Result) -> list[Finding]:
    """Whether the bundle's files hold what its manifest says; nothing where the run does not know its factors."""
    if now.factors is None:
        return []
    stage: Stage | None = None
    note = ""
    if now.factors.fault:
        stage, note = "freeze", now.factors.fault
    elif before.factors and (file := stale(now.factors, before.factors)):
        stage, note = "export", f"stale weights: the checkpoint is new, but {file} is the baseline's to the byte"
    elif before.factors and _other_scales(now.factors, before.factors):
        stage, note = "quantize", "the scales are not the baseline's, though calibration set and weights are the same"
    return [
        Finding(
            check="contents",
            subject="the bundle's files",
            outcome="regressed" if stage else "pass",
            unit="",
            stage=stage,
            note=note,
        )
    ]


def stage_of(findings: Sequence[Finding], now: Result, before: Result) -> list[Finding]:
    """The same findings, each regression with its stage and, where photos show none, with the factors that differ."""
    known: dict[str, Stage] = {finding.subject: stage for finding in findings if (stage := _signature(finding))}
    fault: Stage | None = next(
        (finding.stage for finding in findings if finding.check == "contents" and finding.stage), None
    )
    changed = differing(now.factors, before.factors) if now.factors and before.factors else ()
    return [_explained(finding, known, fault, changed) for finding in findings]


def _explained(finding: Finding, known: dict[str, Stage], fault: Stage | None, changed: tuple[str, ...]) -> Finding:
    if finding.outcome != "regressed" or finding.stage or finding.check not in ("accuracy", "drift", "defects"):
        return finding
    stage = known.get(finding.subject.partition(",")[0]) or fault
    if stage is None and changed == ("calibration",):
        stage = "quantize"
    changed_text = f"; differing: {', '.join(changed)}" if changed and stage is None else ""
    return finding.model_copy(update={"stage": stage, "note": finding.note + changed_text})


def _signature(finding: Finding) -> Stage | None:
    if finding.check != "defects" or finding.outcome != "regressed":
        return None
    return next((stage for words, stage in _SIGNATURES if words in finding.note), None)


def _other_scales(now: Factors, before: Factors) -> bool:
    return differing(now, before) == ("calibration",) and now.calibration == before.calibration
