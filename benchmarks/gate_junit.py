"""A verdict as JUnit XML, which every CI shows: a test case a figure, a suite a check, the reference's suite first.

A regression is a failure, an inconclusive figure an error (nothing was shown), a figure that is not gated is skipped.
Valid under Ant's schema, the strictest of those that are published: so each suite has a host, a time and empty outputs.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from mimdit.benchmarks.gate_table import cells
from mimdit.benchmarks.headline import TITLE
from mimdit.benchmarks.verdict import CHECKS, Finding, Verdict

__all__ = ["junit"]

# XML 1.0 has no way to write these, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_KINDS = {"regressed": "failure", "inconclusive": "error", None: "skipped"}


class _Case(NamedTuple):
    name: str
    text: str
    note: str = ""
    kind: str | None = None  # failure, error, skipped; None: passed


def junit(verdict: Verdict) -> bytes:
    """The whole file, UTF-8."""
    root = Element("testsuites")
    suites = {"reference": [_Case(f"{TITLE}: {line.sentence()}", "") for line in verdict.headlines]}
    for check in CHECKS:
        suites[check] = [_case(finding) for finding in verdict.findings if finding.check == check]
    for number, (name, cases) in enumerate((name, cases) for name, cases in suites.items() if cases):
        _add_suite(root, number, name, cases, verdict.facts, verdict.measured)
    indent(root)
    return tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _case(finding: Finding) -> _Case:
    text = "; ".join(part for part in (*cells(finding)[2:], finding.note) if part)
    return _Case(finding.subject, text, finding.note or text, _KINDS.get(finding.outcome))


def _add_suite(
    root: Element, number: int, name: str, cases: Sequence[_Case], facts: Mapping[str, str], measured: str
) -> None:
    kinds = [case.kind for case in cases]
    counts = {"failures": kinds.count("failure"), "errors": kinds.count("error"), "skipped": kinds.count("skipped")}
    # The schema wants a time without its zone, and a host, of which a verdict knows nothing.
    where = {"hostname": "localhost", "timestamp": measured[:19], "time": 0}
    told = {"id": number, "name": name, "package": "mimdit.gate", "tests": len(cases), **counts, **where}
    suite = SubElement(root, "testsuite", {key: str(value) for key, value in told.items()})
    properties = SubElement(suite, "properties")
    for fact, value in facts.items():
        SubElement(properties, "property", name=_printable(fact), value=_printable(value))
    for case in cases:
        element = SubElement(suite, "testcase", classname=f"mimdit.gate.{name}", name=_printable(case.name), time="0")
        if case.kind is not None:
            known = {"message": _printable(case.note)}  # what is skipped has no type of fault
            typed = known if case.kind == "skipped" else {**known, "type": f"mimdit.{name}"}
            SubElement(element, case.kind, typed).text = _printable(case.text)
    passed = [f"{case.name}: {case.text}" for case in cases if case.kind is None and case.text]
    SubElement(suite, "system-out").text = _printable("\n".join(passed))
    SubElement(suite, "system-err")


def _printable(text: str) -> str:
    return _NOT_XML.sub("?", text)
