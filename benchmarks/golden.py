"""The golden: a folder of recorded inputs, the reference's outputs, and golden.json, which says where they come from.

Reading and holding a bundle to it needs no torch; `mimdit.benchmarks.golden_record` makes one.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mimdit.benchmarks.device import Device
from mimdit.benchmarks.run_file import Provenance, Samples
from mimdit.bundle_checks import hash_file
from mimdit.errors import MimditError
from mimdit.image import load
from mimdit.manifest import RelativePath, Sha256
from mimdit.strict_json import describe
from mimdit.targets import Variant

__all__ = [
    "GOLDEN_NAME",
    "Cuda",
    "Golden",
    "GoldenContent",
    "GoldenEntry",
    "GoldenFile",
    "golden_id",
    "open_golden",
    "pixels",
]

GOLDEN_NAME = "golden.json"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class GoldenFile(_Frozen):
    path: RelativePath
    sha256: Sha256


class GoldenEntry(_Frozen):
    """One recorded photo. Files are PNGs in the golden's folder."""

    image: str
    degradation: str
    variant: Variant
    input: GoldenFile
    output: GoldenFile
    truth: GoldenFile | None
    psnr: float | None = Field(description="dB of the reference's output against the truth")


class Cuda(_Frozen):
    """What only a GPU can say. Times of one tile of 256 px."""

    device: str
    driver: str | None
    seconds: Samples
    sd35_medium_seconds: Samples | None = Field(description="random weights: latency only")
    peak_bytes: int


class GoldenContent(_Frozen):
    """golden.json."""

    schema_version: Literal[1] = 1
    id: str = Field(description="hash of entries, checkpoint and steps")
    checkpoint: str
    steps: int
    computed_on: str = Field(description="cuda: NAME, or cpu: NAME")
    device: Device
    cuda: Cuda | None = Field(description="null: not measured, there was no GPU")
    cpu_seconds: Samples | None = Field(description="one tile on the processor; null where CUDA computed the outputs")
    peak_bytes: int | None = Field(description="resident memory of the recording process")
    provenance: Provenance
    credits: tuple[str, ...] = ()
    entries: tuple[GoldenEntry, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Golden:
    """An opened golden: every file is there and is the one that was recorded."""

    path: Path
    content: GoldenContent


def golden_id(entries: tuple[GoldenEntry, ...], checkpoint: str, steps: int) -> str:
    """16 hex digits for what a bundle is held to."""
    content = [[entry.model_dump(mode="json") for entry in entries], checkpoint, steps]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def open_golden(folder: Path) -> Golden:
    """Raises MimditError where it is none, is damaged, or was changed by hand."""
    path = folder / GOLDEN_NAME
    try:
        content = GoldenContent.model_validate_json(path.read_bytes())
        for entry in content.entries:
            for file in filter(None, (entry.input, entry.output, entry.truth)):
                if hash_file(folder / file.path) != file.sha256:
                    raise MimditError(f"{folder / file.path}: is not what was recorded: restore it or record anew")
    except OSError as error:
        name = error.filename or path
        raise MimditError(
            f"{name}: cannot be read ({error.strerror}): expected a folder of `mimdit golden record`"
        ) from None
    except ValidationError as error:
        raise MimditError(f"{path}: is no golden: {describe(error)}") from None
    if content.id != golden_id(content.entries, content.checkpoint, content.steps):
        raise MimditError(f"{path}: its id does not follow from its content: record it anew")
    return Golden(folder, content)


def pixels(golden: Golden, file: GoldenFile) -> np.ndarray:
    """u8[H,W,3] of a recorded photo."""
    return load(golden.path / file.path).pixels
