"""The page of `mimdit demo`: one HTML file, pictures inside, nothing fetched from anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from string import Template

import numpy as np

from mimdit.html_page import page as html_page
from mimdit.html_page import slider

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
    body = _BODY.substitute(cards="".join(map(_card, comparisons)), bundle=escape(bundle_id))
    return html_page("mimdit: before and after", body, _STYLE)


def _card(row: Comparison) -> str:
    pair = slider(row.before, row.after, name=row.name, labels=("before", "after"), encoding="JPEG")
    return _CARD.substitute(
        pair=pair,
        name=escape(row.name),
        variant=escape(row.variant),
        credit=escape(row.credit),
        input_psnr=_decibel(row.input_psnr),
        psnr=_decibel(row.psnr),
        seconds=f"{row.seconds:.2f}",
    )


def _decibel(value: float | None) -> str:
    return "∞" if value is None else f"{value:.2f}"


_CARD = Template("""
<figure>$pair
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

_STYLE = """
code { padding: 1px 7px; border: 1px solid var(--line); border-radius: 6px; color: var(--accent); font-size: .8rem }
dl { display: flex; gap: 24px; margin: 8px 0; font-variant-numeric: tabular-nums }
dt { color: var(--quiet); font-size: .8rem }
dd { margin: 0; font-weight: 600 }
"""

_BODY = Template("""<header>
<h1>Before and after</h1>
<p>Restored on this machine by mimdit, without PyTorch and without a network. Drag the line across a photo;
PSNR is measured against the undamaged photo.</p>
</header>
<main class="cards">$cards
</main>
<footer>Bundle $bundle. Pictures are shown as JPEG at quality 92; the figures are of the pixels before that.</footer>
""")
