"""The page's charts, as SVG text: times as bars of how often, decibels as dots with their intervals."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from mimdit.benchmarks.verdict import Finding

__all__ = ["decibel_chart", "time_chart"]

_WIDTH = 720
_BINS = 40
_ROW = 26  # px a degradation


def time_chart(times: Mapping[str, Sequence[float]]) -> str:
    """Name → seconds; one row of bars each, on one axis in ms, the slowest hundredth of all times cut off."""
    everything = np.concatenate([np.asarray(seconds) for seconds in times.values()]) * 1e3
    low, high = float(everything.min()), max(float(np.percentile(everything, 99)), float(everything.min()) + 1e-3)
    rows = []
    for number, (name, seconds) in enumerate(times.items()):
        counts, _ = np.histogram(np.clip(np.asarray(seconds) * 1e3, low, high), _BINS, (low, high))
        base, width = 90 * number + 84, _WIDTH / _BINS
        bars = "".join(
            f'<rect x="{i * width:.1f}" y="{base - height:.1f}" width="{width - 1:.1f}" height="{height:.1f}"/>'
            for i, height in enumerate(60 * counts / max(counts.max(), 1))
        )
        middle = float(np.median(seconds)) * 1e3
        rows.append(
            f'<text x="0" y="{base - 66}">{escape(name)}: median {middle:.2f} ms, {len(seconds)} times</text>{bars}'
        )
    bottom = 90 * len(times) + 14
    axis = (
        f'<text x="0" y="{bottom}">{low:.1f} ms</text><text x="{_WIDTH}" y="{bottom}" class="end">{high:.1f} ms</text>'
    )
    return _svg(bottom + 6, "".join(rows) + axis, "Distribution of latency")


def decibel_chart(findings: Sequence[Finding]) -> str:
    """One row for each mean of accuracy: its interval as a line, the mean as a dot, the tolerance as a dashed line."""
    ends = [abs(end) for f in findings for end in (f.low, f.high, f.tolerance, f.change) if end is not None]
    reach = max([*ends, 0.01]) * 1.1
    left, right = 300, _WIDTH - 70

    def place(decibels: float) -> float:
        return left + (right - left) * (decibels + reach) / (2 * reach)

    rows = []
    for number, f in enumerate(findings):
        y, change = _ROW * number + 18, f.change or 0.0
        low, high = (change if end is None else end for end in (f.low, f.high))
        rows.append(
            f'<text x="0" y="{y + 4}">{escape(f.subject)}</text>'
            f'<line x1="{place(low):.1f}" x2="{place(high):.1f}" y1="{y}" y2="{y}" class="{f.outcome}"/>'
            f'<circle cx="{place(change):.1f}" cy="{y}" r="4" class="{f.outcome}"/>'
            f'<text x="{_WIDTH}" y="{y + 4}" class="end">{change:+.3f}</text>'
        )
    height = _ROW * len(findings) + 8
    marks = [(0.0, "zero"), *((-f.tolerance, "limit") for f in findings[:1] if f.tolerance)]
    lines = "".join(
        f'<line x1="{place(at):.1f}" x2="{place(at):.1f}" y1="4" y2="{height - 6}" class="{kind}"/>'
        for at, kind in marks
    )
    return _svg(height, lines + "".join(rows), "Change in dB per degradation")


def _svg(height: int, content: str, label: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{label}">{content}</svg>'
