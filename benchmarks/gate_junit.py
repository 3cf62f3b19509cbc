"""A verdict as JUnit XML, which every CI shows: a test case a figure, a suite a check.

A regression is a failure, an inconclusive figure an error (nothing was shown), a figure that is not gated is skipped.
"""

import re
from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from mimdit.benchmarks.gate_table import cells
from mimdit.benchmarks.verdict import CHECKS, Finding, Verdict

__all__ = ["junit"]

# XML 1.0 has no way to write these, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(verdict: Verdict) -> bytes:
    """The whole file, UTF-8."""
    root = Element("testsuites", {"name": "mimdit gate", **_counts(verdict.findings)})
    for check in CHECKS:
        findings = [finding for finding in verdict.findings if finding.check == check]
        if findings:
            suite = SubElement(root, "testsuite", {"name": check, **_counts(findings)})
            for finding in findings:
                _case(suite, finding)
    indent(root)
    return tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _counts(findings: Iterable[Finding]) -> dict[str, str]:
    outcomes = [finding.outcome for finding in findings]
    return {
        "tests": str(len(outcomes)),
        "failures": str(outcomes.count("regressed")),
        "errors": str(outcomes.count("inconclusive")),
        "skipped": str(outcomes.count(None)),
    }


def _case(suite: Element, finding: Finding) -> None:
    case = SubElement(suite, "testcase", classname=f"mimdit.gate.{finding.check}", name=_printable(finding.subject))
    kind = {"regressed": "failure", "inconclusive": "error", None: "skipped"}.get(finding.outcome)
    text = "; ".join(part for part in (*cells(finding)[2:], finding.note) if part)
    if kind is not None:
        SubElement(case, kind, message=_printable(finding.note or text)).text = _printable(text)
    else:
        SubElement(case, "system-out").text = _printable(text)


def _printable(text: str) -> str:
    return _NOT_XML.sub("?", text)
