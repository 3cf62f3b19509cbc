"""A verdict as one HTML page: everything inside, nothing fetched, no date in it: equal files give equal pages."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from string import Template

import numpy as np

from mimdit.benchmarks.gate_charts import decibel_chart, time_chart
from mimdit.benchmarks.gate_table import COLUMNS, cells, ordered
from mimdit.benchmarks.headline import headline
from mimdit.benchmarks.run_file import Run
from mimdit.benchmarks.verdict import Finding, Verdict

__all__ = ["Crop", "page"]


@dataclass(frozen=True)
class Crop:
    """A photo that lost most, on both sides of a slider: u8[H,W,3] each."""

    title: str
    left: np.ndarray
    right: np.ndarray
    left_label: str
    right_label: str


def page(verdict: Verdict, run: Run | None, crops: Sequence[Crop]) -> str:
    """The whole page. Without a run there are no times, without crops no sliders: it says so."""
    means = [f for f in verdict.findings if f.check == "accuracy" and "," not in f.subject]
    times = {r.name: r.latency.graph.seconds for r in run.results if r.latency} if run else {}
    first = "".join(f"<p>{escape(headline(run, result).sentence())}</p>" for result in run.results) if run else ""
    return _PAGE.substitute(
        outcome=verdict.outcome,
        sentence=escape(verdict.sentence),
        run=escape(verdict.run),
        baseline=escape(verdict.baseline),
        headline=first,
        table=_table(verdict.findings),
        decibels=decibel_chart(means) if means else "<p>No degradation was measured.</p>",
        times=time_chart(times) if times else "<p>No times were measured.</p>",
        crops="".join(map(_figure, crops)) or "<p>Run files hold figures only: gate a bundle to see its photos.</p>",
        facts="".join(
            f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in {**verdict.facts, **_roofline(run)}.items()
        ),
    )


def _roofline(run: Run | None) -> dict[str, str]:
    found = {result.name: result.roofline for result in run.results if result.roofline} if run else {}
    return {
        f"roofline of {name}": f"{r.share:.0%} of the {r.gemm_gflops:.1f} GFLOP/s that a matrix product reaches"
        for name, r in found.items()
    }


def _table(findings: Sequence[Finding]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in (*COLUMNS, "why"))
    rows = []
    for finding in ordered(findings):
        why = f"{finding.stage}: {finding.note}" if finding.stage else finding.note
        columns = "".join(f"<td>{escape(cell)}</td>" for cell in (*cells(finding), why))
        rows.append(f'<tr class="{finding.outcome}">{columns}</tr>')
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _figure(crop: Crop) -> str:
    height, width = crop.left.shape[:2]
    return _FIGURE.substitute(
        title=escape(crop.title),
        left=_data_uri(crop.left),
        right=_data_uri(crop.right),
        left_label=escape(crop.left_label),
        right_label=escape(crop.right_label),
        width=width,
        height=height,
    )


def _data_uri(pixels: np.ndarray) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


_FIGURE = Template("""
<figure>
<div class="pair" style="aspect-ratio:$width/$height"><img src="$right" alt="$title, $right_label"><img src="$left"
class="left" alt="$title, $left_label"><i></i><input type="range" min="0" max="100" value="50" step="0.1"
aria-label="$title: share of $left_label"></div>
<figcaption>$title<br><small>left: $left_label · right: $right_label</small></figcaption>
</figure>""")

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>mimdit gate: $outcome</title>
<style>
:root { --page: #f6f5f2; --card: #fff; --text: #1d1c1a; --quiet: #6a6862; --line: #e2e0da;
  --pass: #0b6e4f; --regressed: #b3261e; --improved: #1a5fb4; --inconclusive: #8a6100 }
@media (prefers-color-scheme: dark) {
  :root { --page: #141413; --card: #1e1e1c; --text: #ecebe6; --quiet: #9b9991; --line: #31302d;
    --pass: #5fd0a5; --regressed: #ff8a80; --improved: #8ab4f8; --inconclusive: #e0b050 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1180px; padding: 24px; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif }
h1 { margin: 0; font-size: 1.6rem; overflow-wrap: anywhere }
h1 b { color: var(--$outcome) }
h2 { margin: 32px 0 8px; font-size: 1.1rem }
p { margin: 6px 0; color: var(--quiet) }
section, figure { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px; margin: 0;
  overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; font-size: .86rem }
th, td { text-align: left; padding: 4px 9px; border-bottom: 1px solid var(--line); white-space: nowrap }
td:last-child { white-space: normal; min-width: 14em }
tr.regressed td:nth-last-child(2) { color: var(--regressed); font-weight: 700 }
tr.improved td:nth-last-child(2) { color: var(--improved); font-weight: 700 }
tr.inconclusive td:nth-last-child(2) { color: var(--inconclusive); font-weight: 700 }
svg { width: 100%; max-width: 760px; font-size: 12px } svg text { fill: var(--text) } svg .end { text-anchor: end }
svg rect { fill: var(--improved) } svg line { stroke: var(--pass); stroke-width: 2 } svg circle { fill: var(--pass) }
svg .regressed { stroke: var(--regressed); fill: var(--regressed) } svg .improved { stroke: var(--improved) }
svg .inconclusive { stroke: var(--inconclusive) } svg .zero { stroke: var(--line); stroke-width: 1 }
svg .limit { stroke: var(--regressed); stroke-width: 1; stroke-dasharray: 4 3 }
.crops { display: grid; gap: 14px; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)) }
.pair { --at: 50%; position: relative; overflow: hidden }
.pair img { position: absolute; inset: 0; width: 100%; height: 100%; image-rendering: pixelated }
.pair .left { clip-path: inset(0 calc(100% - var(--at)) 0 0) }
.pair i { position: absolute; inset: 0 auto 0 var(--at); width: 2px; background: #fff; box-shadow: 0 0 5px #0008 }
.pair input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: ew-resize }
figure:has(:focus-visible) { outline: 3px solid var(--improved) }
figcaption { margin-top: 8px } small, dt { color: var(--quiet) }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 0 } dd { margin: 0 }
</style>
</head>
<body>
<h1><b>$outcome</b></h1>
<p>$sentence</p>
<p>$run, held to $baseline</p>
$headline
<h2>Change per degradation, in dB; the line is the 99.9 % interval, dashed the tolerance</h2>
<section>$decibels</section>
<h2>Photos that lost most</h2>
<div class="crops">$crops</div>
<h2>Latency of a tile</h2>
<section>$times</section>
<h2>All figures</h2>
<section>$table</section>
<h2>Where it was measured</h2>
<section><dl>$facts</dl></section>
<script>
for (const pair of document.querySelectorAll(".pair")) {
  const slider = pair.querySelector("input");
  const show = () => pair.style.setProperty("--at", slider.value + "%");
  slider.addEventListener("input", show);
  show();
}
</script>
</body>
</html>
""")
