"""The page's charts, as SVG text: times as bars of how often, decibels as dots with their intervals, the roofline."""

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from mimdit.benchmarks.run_file import Roofline
from mimdit.benchmarks.statistics import median_interval, percentile
from mimdit.benchmarks.verdict import Finding

__all__ = ["decibel_chart", "roofline_chart", "time_chart"]

_WIDTH = 540
_WIDE = 760
_BINS = 48
_ROW = 26  # px a degradation
_PANEL = 108  # px a bundle's times


def time_chart(times: Mapping[str, Sequence[float]]) -> str:
    """Name → seconds; one row of bars each on one axis in ms, its median with its 95 % interval marked. The slowest
    hundredth of all times is drawn at the right end."""
    everything = np.concatenate([np.asarray(seconds) for seconds in times.values()]) * 1e3
    low, high = float(everything.min()), max(float(np.percentile(everything, 99)), float(everything.min()) + 1e-3)

    def place(milliseconds: float) -> float:
        return _WIDTH * (min(max(milliseconds, low), high) - low) / (high - low)

    rows = []
    for number, (name, seconds) in enumerate(times.items()):
        values = np.asarray(seconds) * 1e3
        counts, _ = np.histogram(np.clip(values, low, high), _BINS, (low, high))
        base, width = _PANEL * number + 92, _WIDTH / _BINS
        bars = "".join(
            f'<rect x="{i * width:.1f}" y="{base - height:.1f}" width="{width - 1:.1f}" height="{height:.1f}"/>'
            for i, height in enumerate(64 * counts / max(counts.max(), 1))
            if height
        )
        middle, ends, p90 = float(np.median(values)), median_interval(values.tolist()), percentile(values.tolist(), 90)
        told = f"{name}: median {middle:.2f} ms"
        told += f" ({ends[0]:.2f} … {ends[1]:.2f})" if ends else ""
        told += f", p90 {p90:.2f}" if p90 else ""
        band = f'<path class="band" d="M{place(ends[0]):.1f} {base}v-68H{place(ends[1]):.1f}v68z"/>' if ends else ""
        line = _line(place(middle), place(middle), base - 68, base, "middle")
        rows.append(f'<text x="0" y="{base - 76}">{escape(told)}, {len(seconds)} times</text>{band}{bars}{line}')
        rows.append(_line(0, _WIDTH, base, base, "axis"))
    bottom = _PANEL * len(times) + 10
    ends_of_axis = f'<text x="0" y="{bottom}">{low:.1f} ms</text>{_end(bottom, f"{high:.1f} ms")}'
    return _svg(bottom + 6, "".join(rows) + ends_of_axis, "Distribution of latency")


def decibel_chart(findings: Sequence[Finding]) -> str:
    """One row for each mean of accuracy: its interval as a line, the mean as a dot, the tolerance as a dashed line; at
    the right dB before, now, and the change."""
    ends = [abs(end) for f in findings for end in (f.low, f.high, f.tolerance, f.change) if end is not None]
    reach = max([*ends, 0.01]) * 1.1
    left, right = 190, _WIDE - 190

    def place(decibels: float) -> float:
        return left + (right - left) * (decibels + reach) / (2 * reach)

    rows = []
    for number, f in enumerate(findings):
        y, change = _ROW * number + 18, (f.change or 0.0) + 0.0
        low, high = (change if end is None else end for end in (f.low, f.high))
        told = f"{f.baseline or 0:.2f} → {f.value or 0:.2f} dB  {change:+.3f}"
        rows.append(
            f'<text x="0" y="{y + 4}">{escape(f.subject)}</text>'
            f"{_line(place(low), place(high), y, y, f.outcome or '')}"
            f'<circle cx="{place(change):.1f}" cy="{y}" r="4" class="{f.outcome}"/>{_end(y + 4, told, _WIDE)}'
        )
    height = _ROW * len(findings) + 8
    marks = [(0.0, "axis"), *((-f.tolerance, "limit") for f in findings[:1] if f.tolerance)]
    lines = "".join(_line(place(at), place(at), 4, height - 6, kind) for at, kind in marks)
    return _svg(height, lines + "".join(rows), "Change in dB per degradation", _WIDE)


def roofline_chart(roofs: Mapping[str, Roofline]) -> str:
    """Name → what it reached: a dot under the two roofs, operations a byte to the right, operations a second upwards,
    both logarithmic. Those whose arithmetic is not known (gmac 0) have no place in it."""
    first = next(iter(roofs.values()))
    ridge = first.gemm_gflops / first.memory_gbytes  # operations a byte, from which on arithmetic is the limit
    across = [math.log10(x) for x in (ridge, *(r.intensity for r in roofs.values()))]
    up = [math.log10(y) for y in (first.gemm_gflops, *(r.gflops for r in roofs.values()))]
    left, right, top, bottom = 40, _WIDTH - 20, 10, 220
    x0, x1 = math.floor(min(across) - 0.5), math.ceil(max(across) + 0.2)
    y0, y1 = math.floor(min(up) - 0.7), math.ceil(max(up) + 0.1)

    def x(value: float) -> float:
        return left + (right - left) * (math.log10(value) - x0) / (x1 - x0)

    def y(value: float) -> float:
        return bottom - (bottom - top) * (math.log10(value) - y0) / (y1 - y0)

    start = max(10.0**x0, 10.0**y0 / first.memory_gbytes)
    parts = [_line(x(start), x(ridge), y(start * first.memory_gbytes), y(first.gemm_gflops), "roof")]
    parts += [_line(x(ridge), right, y(first.gemm_gflops), y(first.gemm_gflops), "roof")]
    for power in range(x0, x1 + 1):
        at = x(10.0**power)
        parts += [
            _line(at, at, top, bottom, "grid"),
            f'<text x="{at:.0f}" y="{bottom + 18}" class="mid">{10.0**power:g}</text>',
        ]
    for power in range(y0, y1 + 1):
        at = y(10.0**power)
        parts += [_line(left, right, at, at, "grid"), f'<text x="0" y="{at + 4:.0f}">{10.0**power:g}</text>']
    told = [
        f"roofs: {first.gemm_gflops:.0f} GFLOP/s (matrix product), {first.memory_gbytes:.0f} GB/s (matrix × vector)"
    ]
    for name, r in roofs.items():
        parts += [f'<circle cx="{x(r.intensity):.1f}" cy="{y(r.gflops):.1f}" r="5"/>']
        told += [
            f"{name}: {r.gflops:.0f} GFLOP/s, {r.share:.0%} of a matrix product, {r.intensity:.0f} operations a byte"
        ]
    for number, line in enumerate(told):
        parts += [f'<text x="{left}" y="{bottom + 42 + 17 * number}">{escape(line)}</text>']
    return _svg(bottom + 34 + 17 * len(told), "".join(parts), "Roofline")


def _line(x1: float, x2: float, y1: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _end(y: int, text: str, width: int = _WIDTH) -> str:
    """Text that ends at the right."""
    return f'<text x="{width}" y="{y}" class="end">{escape(text)}</text>'


def _svg(height: int, content: str, label: str, width: int = _WIDTH) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{content}</svg>'
