"""The page of `mimdit demo`: one HTML file, pictures inside, nothing fetched from anywhere."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from string import Template

import numpy as np

__all__ = ["Comparison", "page"]


@dataclass(frozen=True)
class Comparison:
    """One photo before and after: u8[H,W,3] each. PSNR in dB against the truth, None where they are equal."""

    name: str
    variant: str
    credit: str
    input_psnr: float | None
    psnr: float | None
    seconds: float
    before: np.ndarray
    after: np.ndarray


def page(comparisons: Sequence[Comparison], bundle_id: str) -> str:
    """The whole page as HTML."""
    cards = "".join(_card(comparison) for comparison in comparisons)
    return _PAGE.substitute(cards=cards, bundle=escape(bundle_id))


def _card(row: Comparison) -> str:
    height, width = row.before.shape[:2]
    return _CARD.substitute(
        name=escape(row.name),
        variant=escape(row.variant),
        credit=escape(row.credit),
        input_psnr=_decibel(row.input_psnr),
        psnr=_decibel(row.psnr),
        seconds=f"{row.seconds:.2f}",
        before=_data_uri(row.before),
        after=_data_uri(row.after),
        width=width,
        height=height,
    )


def _decibel(value: float | None) -> str:
    return "∞" if value is None else f"{value:.2f}"


def _data_uri(pixels: np.ndarray) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=92, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


_CARD = Template("""
<figure>
  <div class="pair" style="aspect-ratio:$width/$height">
    <img src="$after" width="$width" height="$height" alt="$name, restored">
    <img src="$before" width="$width" height="$height" alt="$name, as it was" class="before">
    <span class="tag left">before</span><span class="tag right">after</span>
    <span class="handle"></span>
    <input type="range" min="0" max="100" step="0.1" value="50" aria-label="$name: share shown unrestored">
  </div>
  <figcaption>
    <div><strong>$name</strong> <code>$variant</code></div>
    <dl>
      <div><dt>before</dt><dd>$input_psnr dB</dd></div>
      <div><dt>after</dt><dd>$psnr dB</dd></div>
      <div><dt>time</dt><dd>$seconds s</dd></div>
    </dl>
    <small>$credit</small>
  </figcaption>
</figure>""")

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>mimdit: before and after</title>
<style>
:root { --page: #f6f5f2; --card: #fff; --text: #1d1c1a; --quiet: #6a6862; --line: #e2e0da; --accent: #0b6e4f }
@media (prefers-color-scheme: dark) {
  :root { --page: #141413; --card: #1e1e1c; --text: #ecebe6; --quiet: #9b9991; --line: #31302d; --accent: #5fd0a5 }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif }
header, main, footer { max-width: 1200px; margin: auto; padding: 0 clamp(12px, 3vw, 32px) }
header { padding-block: clamp(24px, 5vw, 48px) 20px }
h1 { margin: 0; font-size: clamp(1.5rem, 4vw, 2.25rem); line-height: 1.2; letter-spacing: -.01em }
p { margin: 8px 0 0; color: var(--quiet); max-width: 60ch }
main { display: grid; gap: clamp(16px, 2.5vw, 28px); align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)) }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 12px; overflow: hidden }
figure:has(:focus-visible) { outline: 3px solid var(--accent) }
.pair { --at: 50%; position: relative; overflow: hidden }
.pair img { position: absolute; inset: 0; width: 100%; height: 100%; display: block; user-select: none }
.pair .before { clip-path: inset(0 calc(100% - var(--at)) 0 0) }
.handle { position: absolute; inset: 0 auto 0 var(--at); width: 2px; margin-left: -1px; background: #fff;
  box-shadow: 0 0 6px rgb(0 0 0 / .5); pointer-events: none }
.handle::after { content: "⇔"; position: absolute; top: 50%; left: 50%; width: 36px; height: 36px; margin: -18px;
  border-radius: 50%; background: #fff; color: #222; font: 18px/36px system-ui; text-align: center;
  box-shadow: 0 1px 6px rgb(0 0 0 / .4) }
.pair input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0;
  cursor: ew-resize; touch-action: pan-y }
.tag { position: absolute; top: 10px; padding: 1px 9px; border-radius: 99px; background: rgb(0 0 0 / .55); color: #fff;
  font-size: .8rem; pointer-events: none }
.left { left: 10px }
.right { right: 10px }
figcaption { padding: 12px 16px 14px }
code { padding: 1px 7px; border: 1px solid var(--line); border-radius: 6px; color: var(--accent); font-size: .8rem }
dl { display: flex; gap: 24px; margin: 8px 0; font-variant-numeric: tabular-nums }
dt { color: var(--quiet); font-size: .8rem }
dd { margin: 0; font-weight: 600 }
small, footer { color: var(--quiet); font-size: .8rem }
footer { padding-block: 24px 40px }
</style>
</head>
<body>
<header>
<h1>Before and after</h1>
<p>Restored on this machine by mimdit, without PyTorch and without a network. Drag the line across a photo;
PSNR is measured against the undamaged photo.</p>
</header>
<main>$cards
</main>
<footer>Bundle $bundle. Pictures are shown as JPEG at quality 92; the figures are of the pixels before that.</footer>
<script>
for (const pair of document.querySelectorAll(".pair")) {
  const slider = pair.querySelector("input");
  const show = () => pair.style.setProperty("--at", slider.value + "%");
  slider.addEventListener("input", show);
  show(); // a browser may have kept the slider's place over a reload
}
</script>
</body>
</html>
""")
