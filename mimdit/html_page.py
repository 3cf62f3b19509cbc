"""What our HTML pages share: one frame with its colours, and a slider between two pictures.

A page is one file: pictures are inside it, and its security policy lets it fetch nothing. Callers escape what they
put in.
"""

import base64
import io
from html import escape
from string import Template
from typing import Literal

import numpy as np

__all__ = ["page", "slider"]


def page(title: str, body: str, style: str = "") -> str:
    """A whole page. body: HTML · style: CSS beside the frame's own, which offers the colours --page, --card, --text,
    --quiet, --line and --accent, light or dark as the reader's system is."""
    return _PAGE.substitute(title=escape(title), body=body, style=style)


def slider(
    left: np.ndarray,
    right: np.ndarray,
    *,
    name: str,
    labels: tuple[str, str],
    encoding: Literal["PNG", "JPEG"] = "PNG",
) -> str:
    """HTML of two u8[H,W,3] of one size, one above the other, with a line between them that can be dragged.

    labels: of the left and the right picture. JPEG, at quality 92, takes a tenth of the space.
    """
    height, width = left.shape[:2]
    return _SLIDER.substitute(
        name=escape(name, quote=True),
        left=_data_uri(left, encoding),
        right=_data_uri(right, encoding),
        left_label=escape(labels[0]),
        right_label=escape(labels[1]),
        width=width,
        height=height,
    )


def _data_uri(pixels: np.ndarray, encoding: str) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    settings = {"quality": 92, "subsampling": 0} if encoding == "JPEG" else {}
    Image.fromarray(pixels).save(buffer, format=encoding, **settings)
    return f"data:image/{encoding.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


_SLIDER = Template("""
<div class="pair" style="aspect-ratio:$width/$height">
  <img src="$right" width="$width" height="$height" alt="$name, $right_label">
  <img src="$left" width="$width" height="$height" alt="$name, $left_label" class="left">
  <span class="tag left">$left_label</span><span class="tag right">$right_label</span>
  <span class="handle"></span>
  <input type="range" min="0" max="100" step="0.1" value="50" aria-label="$name: share of $left_label">
</div>""")

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>$title</title>
<style>
:root { --page: #f6f5f2; --card: #fff; --text: #1d1c1a; --quiet: #6a6862; --line: #e2e0da; --accent: #0b6e4f }
@media (prefers-color-scheme: dark) {
  :root { --page: #141413; --card: #1e1e1c; --text: #ecebe6; --quiet: #9b9991; --line: #31302d; --accent: #5fd0a5 }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif }
header, main, footer { max-width: 1200px; margin: auto; padding: 0 clamp(12px, 3vw, 32px) }
header { padding-block: clamp(24px, 5vw, 48px) 20px }
footer { padding-block: 24px 40px }
h1 { margin: 0; font-size: clamp(1.5rem, 4vw, 2.25rem); line-height: 1.2; letter-spacing: -.01em }
p { margin: 8px 0 0; color: var(--quiet); max-width: 80ch }
small, footer { color: var(--quiet); font-size: .8rem }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 12px; overflow: hidden }
figure:has(:focus-visible) { outline: 3px solid var(--accent) }
figcaption { padding: 12px 16px 14px }
.cards { display: grid; gap: clamp(16px, 2.5vw, 28px); align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, var(--card-width, 340px)), 1fr)) }
.pair { --at: 50%; position: relative; overflow: hidden }
.pair img { position: absolute; inset: 0; width: 100%; height: 100%; display: block; user-select: none }
.pair img.left { clip-path: inset(0 calc(100% - var(--at)) 0 0) }
.handle { position: absolute; inset: 0 auto 0 var(--at); width: 2px; margin-left: -1px; background: #fff;
  box-shadow: 0 0 6px rgb(0 0 0 / .5); pointer-events: none }
.handle::after { content: "⇔"; position: absolute; top: 50%; left: 50%; width: 36px; height: 36px; margin: -18px;
  border-radius: 50%; background: #fff; color: #222; font: 18px/36px system-ui; text-align: center;
  box-shadow: 0 1px 6px rgb(0 0 0 / .4) }
.pair input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0;
  cursor: ew-resize; touch-action: pan-y }
.tag { position: absolute; top: 10px; padding: 1px 9px; border-radius: 99px; background: rgb(0 0 0 / .55); color: #fff;
  font-size: .8rem; pointer-events: none }
.tag.left { left: 10px }
.tag.right { right: 10px }
$style</style>
</head>
<body>
$body
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
