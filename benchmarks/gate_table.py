"""A verdict as a table: the cells that the terminal, Markdown and the page share, and the Markdown around them."""

from collections.abc import Sequence

from mimdit.benchmarks.headline import headline_table
from mimdit.benchmarks.table import TableContent, markdown_lines
from mimdit.benchmarks.verdict import Finding, Verdict

__all__ = ["COLUMNS", "cells", "markdown", "ordered"]

COLUMNS = ("check", "subject", "before", "now", "change", "99.9 % interval", "tolerance", "n", "verdict")

_DIGITS = {"dB": 3, "MB": 3, "ms": 2, "s": 3, "J": 3, "levels": 2, "photos": 0}
_SYMBOLS = {"pass": "✅", "regressed": "❌", "improved": "⬆️", "inconclusive": "❔", None: "·"}
_ORDER = ("regressed", "inconclusive", "improved", "pass", None)


def ordered(findings: Sequence[Finding]) -> list[Finding]:
    """What needs a reader first; within one outcome the order stays."""
    return sorted(findings, key=lambda finding: _ORDER.index(finding.outcome))


def cells(finding: Finding) -> tuple[str, ...]:
    """One cell for each of COLUMNS, plain text."""
    relative = finding.check in ("size", "latency", "memory", "energy")
    interval = ""
    if finding.low is not None and finding.high is not None:
        low, high = _change(finding.low, finding, relative), _change(finding.high, finding, relative)
        interval = f"{low.partition(' ')[0]} … {high}"
    return (
        finding.check,
        finding.subject,
        _number(finding.baseline, finding.unit),
        _number(finding.value, finding.unit),
        _change(finding.change, finding, relative),
        interval,
        "" if finding.tolerance is None else _change(finding.tolerance, finding, relative).lstrip("+"),
        "" if finding.samples is None else str(finding.samples),
        finding.outcome or "not gated",
    )


def markdown(verdict: Verdict) -> str:
    """For a pull request or a job summary: the verdict, what needs a reader, the whole table folded away."""
    lines = [f"## mimdit gate: {_SYMBOLS[verdict.outcome]} {_text(verdict.sentence)}", ""]
    lines += [*markdown_lines(headline_table(verdict.headlines), _text), ""]
    lines += [f"`{_text(verdict.run)}` held to `{_text(verdict.baseline)}`", ""]
    notes = [finding for finding in ordered(verdict.findings) if finding.outcome != "pass" and finding.note]
    for finding in notes:
        stage = f" (stage: {finding.stage})" if finding.stage else ""
        title = f"**{finding.outcome or 'not gated'}: {finding.check} of {_text(finding.subject)}**"
        lines.append(f"- {_SYMBOLS[finding.outcome]} {title}{stage}: {_text(finding.note)}")
    lines += [""] if notes else []
    lines += [f"<details><summary>All {len(verdict.findings)} figures</summary>", ""]
    rows = ((*cells(finding)[:-1], f"{_SYMBOLS[finding.outcome]} {cells(finding)[-1]}") for finding in verdict.findings)
    lines += markdown_lines(TableContent("Figures", COLUMNS, tuple(rows)), _text)
    lines += ["", "</details>", ""]
    lines += [f"- {_text(name)}: {_text(fact)}" for name, fact in verdict.facts.items()]
    return "\n".join(lines).rstrip() + "\n"


def _number(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:.{_DIGITS.get(unit, 3)}f} {unit}"


def _change(value: float | None, finding: Finding, relative: bool) -> str:
    if value is None:
        return "–"
    value += 0.0  # a negative zero is a zero
    return f"{100 * value:+.1f} %" if relative else f"{value:+.{_DIGITS.get(finding.unit, 3)}f} {finding.unit}"


def _text(value: str) -> str:
    """Names come from files: they must not end a cell, a line or the code span that they stand in."""
    return value.replace("|", "\\|").replace("`", "'").replace("<", "&lt;").replace("\n", " ")
