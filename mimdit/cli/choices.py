"""Reading comma-separated choices from the command line."""

from mimdit.errors import MimditError
from mimdit.targets import VARIANTS, Variant


def chosen_variants(text: str) -> tuple[Variant, ...]:
    """`NAME[,NAME]` or `all` → variants in the order of `VARIANTS`; raises MimditError naming the known ones."""
    if text == "all":
        return VARIANTS
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in VARIANTS]:
        raise MimditError(f"no variant '{unknown[0]}': choose from {', '.join(VARIANTS)}, or all")
    return tuple(variant for variant in VARIANTS if variant in names)
