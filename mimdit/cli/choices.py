"""Reading what a person writes on the command line: variants, sizes, parts of a photo."""

import re
from typing import TYPE_CHECKING

from mimdit.errors import MimditError
from mimdit.targets import VARIANTS, Variant

if TYPE_CHECKING:
    from mimdit.runtimes.tiler import Window

_UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}


def chosen_variants(text: str) -> tuple[Variant, ...]:
    """`NAME[,NAME]` or `all` → variants in the order of `VARIANTS`; raises MimditError naming the known ones."""
    if text == "all":
        return VARIANTS
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in VARIANTS]:
        raise MimditError(f"no variant '{unknown[0]}': choose from {', '.join(VARIANTS)}, or all")
    return tuple(variant for variant in VARIANTS if variant in names)


def byte_size(text: str | None) -> int | None:
    """`600M`, `1.5G` or a plain number → bytes; None stays None. Raises MimditError."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)B?", text.strip().upper())
    if not found:
        raise MimditError(f"expected a size such as 600M or 1.5G, found {text!r}")
    return int(float(found[1]) * _UNITS[found[2]])


def tile_size(text: str) -> int | None:
    """`auto` → None, or a number of pixels. Raises MimditError."""
    if text == "auto":
        return None
    if not text.isdecimal():
        raise MimditError(f"expected a tile of auto or a number of pixels, found {text!r}")
    return int(text)


def window(text: str | None) -> "Window | None":
    """`X,Y,WIDTH,HEIGHT` in pixels → that part of a photo; None stays None. Raises MimditError."""
    from mimdit.runtimes.tiler import Window

    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts):
        raise MimditError(f"expected a preview X,Y,WIDTH,HEIGHT in pixels, found {text!r}")
    left, top, width, height = map(int, parts)
    return Window(top, left, height, width)
