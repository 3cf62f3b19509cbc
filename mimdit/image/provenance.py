"""What a restored photo says of its restoration: written into its XMP, read back, checked against a bundle."""

import json
from dataclasses import replace
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mimdit.errors import PhotoError
from mimdit.image import xmp
from mimdit.image.photo import Photo
from mimdit.manifest import Sha256, Text
from mimdit.strict_json import describe
from mimdit.targets import Precision, Target, Unit, Variant

__all__ = ["DIGITAL_SOURCE_TYPE", "Provenance", "read_provenance", "with_provenance"]

# IPTC's word for a photo that a trained model has edited: a diffusion network fills in what the damage had destroyed.
DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_NAMESPACE = "urn:mimdit:provenance:1#"
_IPTC_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_SOURCE_TYPE = "Iptc4xmpExt:DigitalSourceType"


class Provenance(BaseModel):
    """How a photo was restored, enough to do it again."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    bundle: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")] = Field(description="the bundle's id")
    variants: tuple[Variant, ...] = Field(min_length=1, description="first to last")
    target: Target
    precision: Precision
    unit: Unit
    tile: int = Field(ge=8, description="px")
    overlap: int = Field(ge=0, description="px that neighbouring tiles share")
    strength: float = Field(ge=0, le=1)
    window: tuple[int, int, int, int] | None = Field(default=None, description="top, left, height, width; null is all")
    scores: dict[Variant, float] | None = Field(default=None, description="the dispatcher's; null: not asked")
    input_sha256: Sha256 = Field(description="of the file that was restored")
    mimdit: Text = Field(description="version")


def with_provenance(photo: Photo, provenance: Provenance) -> Photo:
    """The photo with the provenance, and what IPTC calls its source, in its XMP, in place of older ones."""
    elements = "".join(
        f"<mimdit:{name}>{xmp.escape(value if isinstance(value, str) else json.dumps(value))}</mimdit:{name}>"
        for name, value in provenance.model_dump(mode="json").items()
    )
    description = (
        f'<rdf:Description rdf:about="" xmlns:mimdit="{_NAMESPACE}" xmlns:Iptc4xmpExt="{_IPTC_EXT}">'
        f"{elements}<{_SOURCE_TYPE}>{DIGITAL_SOURCE_TYPE}</{_SOURCE_TYPE}></rdf:Description>"
    )
    older = (*(f"mimdit:{name}" for name in Provenance.model_fields), _SOURCE_TYPE)
    return replace(photo, xmp=xmp.with_description(photo.xmp, description, replacing=older))


def read_provenance(photo: Photo) -> Provenance | None:
    """What a photo says of its restoration; None where it says nothing. Raises PhotoError where it makes no sense."""
    texts = {name: xmp.read_property(photo.xmp or b"", f"mimdit:{name}") for name in Provenance.model_fields}
    if all(text is None for text in texts.values()):
        return None
    values = {name: _value(name, text) for name, text in texts.items() if text is not None}
    try:
        return Provenance.model_validate(values)
    except ValidationError as error:
        raise PhotoError(f"what it says of its restoration is damaged: {describe(error)}") from None


def _value(name: str, text: str) -> object:
    if Provenance.model_fields[name].annotation is str or name in ("target", "precision", "unit"):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text  # the schema says what is wrong with it
