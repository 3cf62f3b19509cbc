"""Contact sheets: worst, median and best photo of a group, as input, restored and truth side by side.

To be looked at, not only kept: no figure replaces it. Sheets of research-only images (in the public test set all but
those under CC-BY; its manifest has the licences) stay out of the repository and out of anything that is published.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from mimdit.benchmarks.accuracy_report import Row
from mimdit.benchmarks.datasets import Pair
from mimdit.files import write_file
from mimdit.metrics import psnr
from mimdit.pixels import to_unit

__all__ = ["Example", "pick", "sheet", "write_sheet"]

_CAPTION = 18  # px
_GAP = 4  # px between photos
_PAPER = 255


@dataclass(frozen=True)
class Example:
    """One restored photo: its figures, what went in, and what came out, u8[H,W,3]."""

    row: Row
    pair: Pair
    restored: np.ndarray

    @property
    def rank(self) -> float:
        """dB gained; without a truth, the more a photo was changed the worse it ranks: it is seen first."""
        if self.row.input.psnr is None or self.row.restored.psnr is None:
            return psnr(to_unit(self.restored), to_unit(self.pair.input))
        return self.row.restored.psnr - self.row.input.psnr


def write_sheet(examples: Sequence[Example], folder: Path) -> Path:
    """The sheet of one group and method, DEGRADATION_DATASET_METHOD_VARIANT.png, replaced if it exists."""
    from PIL import Image

    row = examples[0].row
    parts = (row.degradation, row.dataset, row.method, row.variant or "")
    name = "_".join(re.sub(r"[^A-Za-z0-9.+-]+", "-", part).strip("-") for part in parts if part)
    file = BytesIO()
    Image.fromarray(sheet(pick(examples))).save(file, "PNG")
    write_file(folder / f"{name}.png", file.getvalue(), overwrite=True)
    return folder / f"{name}.png"


def pick(examples: Sequence[Example]) -> dict[str, Example]:
    """Worst, median and best by rank, each photo once: of two photos worst and best, of one the worst."""
    ranked = sorted(examples, key=lambda example: example.rank)
    places = {"worst": 0, "best": len(ranked) - 1, "median": len(ranked) // 2}
    kept: dict[int, str] = {}
    for word, place in places.items():
        kept.setdefault(place, word)
    return {word: ranked[place] for place, word in sorted(kept.items())}


def sheet(examples: dict[str, Example]) -> np.ndarray:
    """u8[H,W,3]: a line for each example, its caption above input, restored and truth."""
    lines = [_line(word, example) for word, example in examples.items()]
    width = max(line.shape[1] for line in lines)
    padded = [np.pad(line, ((0, _GAP), (0, width - line.shape[1]), (0, 0)), constant_values=_PAPER) for line in lines]
    return np.concatenate(padded)


def _line(word: str, example: Example) -> np.ndarray:
    photos = [example.pair.input, example.restored]
    if example.pair.truth is not None:
        photos.append(example.pair.truth)
    gap = np.full((len(photos[0]), _GAP, 3), _PAPER, np.uint8)
    line = np.concatenate([part for photo in photos for part in (photo, gap)], axis=1)
    return np.concatenate([_caption(f"{word}: {_words(example.row)}", line.shape[1]), line])


def _words(row: Row) -> str:
    before, after = row.input.psnr, row.restored.psnr
    figures = "no truth" if before is None or after is None else f"{before:.2f} > {after:.2f} dB"
    return f"{row.image}   {row.degradation}, {row.dataset}   {row.method}, {row.used or row.variant}   {figures}"


def _caption(text: str, width: int) -> np.ndarray:
    """u8[18,width,3]; what does not fit is cut off."""
    from PIL import Image, ImageDraw

    strip = Image.new("RGB", (width, _CAPTION), "white")
    # Pillow's built-in font knows Latin-1 only.
    ImageDraw.Draw(strip).text((2, 3), text.encode("latin-1", "replace").decode("latin-1"), fill="black")
    return np.asarray(strip)
