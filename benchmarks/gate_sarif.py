"""A verdict as SARIF 2.1.0, which code hosts show as alerts beside the changed file.

An alert needs a place in the repository: it is the bundle's manifest, or the run file, whose name the caller gives.
"""

import json

from mimdit.benchmarks.gate_table import ordered
from mimdit.benchmarks.headline import TITLE, Headline
from mimdit.benchmarks.verdict import Check, Finding, Verdict

__all__ = ["SCHEMA", "sarif"]

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

_MEANING: dict[Check, str] = {
    "accuracy": "A degradation is restored worse than by the baseline.",
    "drift": "Restored photos moved away from the reference's.",
    "size": "The bundle's files grew.",
    "latency": "A photo takes longer.",
    "memory": "Restoring takes more memory.",
    "energy": "A photo takes more energy.",
    "defects": "A restored photo shows NaN, black tiles, a colour cast, a seam or uneven brightness.",
    "contents": "The bundle's files do not hold what its manifest says.",
}
_REFERENCE = "reference"
_FINGERPRINT = "mimditFigure/v1"  # so that the host knows an alert again that it has shown already
_LEVELS = {"regressed": "error", "inconclusive": "warning", "improved": "note"}


def sarif(verdict: Verdict, place: str, version: str) -> bytes:
    """The whole file, UTF-8. `place` is a path relative to the repository, `version` that of mimdit."""
    shown = [finding for finding in ordered(verdict.findings) if finding.outcome in _LEVELS]
    meanings = {_REFERENCE: f"{TITLE}: for information.", **_MEANING}
    driver = {
        "name": "mimdit gate",
        "version": version,
        "rules": [{"id": name, "shortDescription": {"text": meaning}} for name, meaning in meanings.items()],
    }
    run = {
        "tool": {"driver": driver},
        "results": [
            *(_first(line, place) for line in verdict.headlines),
            *(_result(finding, place) for finding in shown),
        ],
        "properties": {"outcome": verdict.outcome, "baseline": verdict.baseline, "run": verdict.run},
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return (json.dumps(log, indent=1, ensure_ascii=False) + "\n").encode()


def _first(line: Headline, place: str) -> dict[str, object]:
    """The device against the reference: neither good nor bad, so of no level."""
    return {
        "ruleId": _REFERENCE,
        "kind": "informational",
        "level": "none",
        "message": {"text": f"{TITLE}: {line.sentence()}"},
        "locations": _at(place),
        "partialFingerprints": {_FINGERPRINT: f"{_REFERENCE} {line.bundle}"},
        "properties": line.model_dump(mode="json", exclude_none=True),
    }


def _result(finding: Finding, place: str) -> dict[str, object]:
    text = f"{finding.check} of {finding.subject} {finding.outcome}: {finding.note}"
    figures = finding.model_dump(mode="json", exclude={"check", "note"}, exclude_none=True)
    return {
        "ruleId": finding.check,
        "level": _LEVELS[finding.outcome or ""],
        "message": {"text": text},
        "locations": _at(place),
        "partialFingerprints": {_FINGERPRINT: f"{finding.check} {finding.subject}"},
        "properties": figures,
    }


def _at(place: str) -> list[dict[str, object]]:
    return [{"physicalLocation": {"artifactLocation": {"uri": place}, "region": {"startLine": 1}}}]
