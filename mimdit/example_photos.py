"""The example photos in the package: CC0 and public domain, degraded with fixed seeds, and their truths."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from mimdit.errors import PhotoError
from mimdit.targets import Variant

__all__ = ["EXAMPLES", "Example", "read_examples"]

EXAMPLES = Path(__file__).parent / "examples"


class Example(BaseModel):
    """One entry of examples.json: file names beside it, the variant to restore with, who made the photo."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    degraded: str
    truth: str
    variant: Variant
    credit: str


def read_examples(folder: Path = EXAMPLES) -> list[Example]:
    """Raises PhotoError where they are missing."""
    try:
        text = (folder / "examples.json").read_bytes()
    except FileNotFoundError:
        raise PhotoError(f"{folder}: the example photos are missing: install mimdit again") from None
    return TypeAdapter(list[Example]).validate_json(text)
