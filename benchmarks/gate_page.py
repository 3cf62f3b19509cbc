"""A verdict as one HTML page: everything inside, nothing fetched, no date in it: equal files give equal pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from string import Template

import numpy as np

from mimdit.benchmarks.gate_charts import decibel_chart, roofline_chart, time_chart
from mimdit.benchmarks.gate_table import COLUMNS, cells, ordered
from mimdit.benchmarks.headline import headline_table
from mimdit.benchmarks.run_file import Run
from mimdit.benchmarks.verdict import Finding, Verdict
from mimdit.html_page import page as html_page
from mimdit.html_page import slider

__all__ = ["Crop", "page"]


@dataclass(frozen=True)
class Crop:
    """A photo that lost most, on both sides of a slider: u8[H,W,3] each."""

    title: str
    left: np.ndarray
    right: np.ndarray
    left_label: str
    right_label: str


def page(verdict: Verdict, run: Run, crops: Sequence[Crop], times: Mapping[str, Sequence[float]] | None = None) -> str:
    """The whole page. times: title → seconds of a race, by default the run's own; without crops there are no sliders,
    and it says so."""
    means = [f for f in verdict.findings if f.check == "accuracy" and "," not in f.subject]
    seconds = times or {r.name: r.latency.graph.seconds for r in run.results if r.latency}
    roofs = {r.name: r.roofline for r in run.results if r.roofline and r.roofline.gmac > 0}
    first = headline_table(verdict.headlines)
    body = _BODY.substitute(
        outcome=verdict.outcome,
        sentence=escape(verdict.sentence),
        run=escape(verdict.run),
        baseline=escape(verdict.baseline),
        headline=_rows(first.columns, [(row, "") for row in first.rows]),
        table=_table(verdict.findings),
        decibels=decibel_chart(means) if means else "<p>No degradation was measured.</p>",
        times=time_chart(seconds) if seconds else "<p>No times were measured.</p>",
        roofline=roofline_chart(roofs)
        if roofs
        else "<p>No roofline was measured: <code>mimdit bench --roofline</code>.</p>",
        crops="".join(map(_figure, crops)) or "<p>Run files hold figures only: gate a bundle to see its photos.</p>",
        facts="".join(f"<dt>{escape(name)}</dt><dd>{escape(fact)}</dd>" for name, fact in verdict.facts.items()),
    )
    return html_page(f"mimdit gate: {verdict.outcome}", body, _STYLE)


def _table(findings: Sequence[Finding]) -> str:
    rows = []
    for finding in ordered(findings):
        why = f"{finding.stage}: {finding.note}" if finding.stage else finding.note
        rows.append(((*cells(finding), why), finding.outcome or ""))
    return _rows((*COLUMNS, "why"), rows)


def _rows(columns: Sequence[str], rows: Sequence[tuple[Sequence[str], str]]) -> str:
    """A table; each row with the class of its verdict."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    lines = []
    for row, outcome in rows:
        line = "".join(f"<td>{escape(cell)}</td>" for cell in row)
        lines.append(f'<tr class="{outcome}">{line}</tr>')
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _figure(crop: Crop) -> str:
    pair = slider(crop.left, crop.right, name=crop.title, labels=(crop.left_label, crop.right_label))
    return f"<figure>{pair}<figcaption>{escape(crop.title)}</figcaption></figure>"


_STYLE = """
:root { --pass: #0b6e4f; --regressed: #b3261e; --improved: #1a5fb4; --inconclusive: #8a6100; --card-width: 230px }
@media (prefers-color-scheme: dark) {
  :root { --pass: #5fd0a5; --regressed: #ff8a80; --improved: #8ab4f8; --inconclusive: #e0b050 } }
h1 { color: var(--verdict) }
h2 { margin: 32px 0 10px; font-size: 1.1rem }
h2 small { font-weight: 400 }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 14px 16px;
  overflow-x: auto }
.two { display: grid; gap: clamp(16px, 2.5vw, 28px); align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)) }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; font-size: .82rem }
th, td { text-align: left; padding: 4px 8px; border-bottom: 1px solid var(--line) }
th { color: var(--quiet); font-weight: 500 }
td:nth-child(n+3):nth-child(-n+7) { white-space: nowrap }
tbody tr:last-child td { border-bottom: 0 }
tr.regressed td:nth-last-child(2) { color: var(--regressed); font-weight: 700 }
tr.improved td:nth-last-child(2) { color: var(--improved); font-weight: 700 }
tr.inconclusive td:nth-last-child(2) { color: var(--inconclusive); font-weight: 700 }
.pair img { image-rendering: pixelated }
svg { display: block; width: 100%; max-width: 800px; font-size: 12px }
svg text { fill: var(--text) }
svg .end { text-anchor: end }
svg .mid { text-anchor: middle }
svg rect { fill: var(--improved) }
svg .band { fill: var(--line) }
svg line { stroke: var(--pass); stroke-width: 2 }
svg circle { fill: var(--pass) }
svg .regressed { stroke: var(--regressed); fill: var(--regressed) }
svg .improved { stroke: var(--improved); fill: var(--improved) }
svg .inconclusive { stroke: var(--inconclusive); fill: var(--inconclusive) }
svg .axis, svg .grid { stroke: var(--line); stroke-width: 1 }
svg .roof, svg .middle { stroke: var(--text) }
svg .limit { stroke: var(--regressed); stroke-width: 1; stroke-dasharray: 4 3 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 0; font-size: .86rem }
dt { color: var(--quiet) }
dd { margin: 0; overflow-wrap: anywhere }
"""

_BODY = Template("""<header style="--verdict: var(--$outcome)">
<h1>$outcome</h1>
<p>$sentence</p>
<p><small>$run, held to $baseline</small></p>
</header>
<main>
<section>$headline</section>
<h2>Change per degradation <small>dot: mean · line: 99.9 % interval · dashed: tolerance</small></h2>
<section>$decibels</section>
<h2>Photos that lost most <small>drag the line</small></h2>
<div class="cards">$crops</div>
<div class="two">
<div><h2>Latency of a tile <small>line: median · band: its 95 % interval</small></h2><section>$times</section></div>
<div><h2>Roofline <small>GFLOP/s over operations a byte</small></h2><section>$roofline</section></div>
</div>
<h2>All figures</h2>
<section>$table</section>
<h2>Where it was measured</h2>
<section><dl>$facts</dl></section>
</main>
<footer>One file, nothing fetched: the same run and baseline give the same bytes.</footer>""")
