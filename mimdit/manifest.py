"""The manifest: all that a bundle says about itself, in one frozen, versioned schema (`docs/bundle.md`)."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from mimdit.errors import BundleError
from mimdit.routing.plan import RoutingPlan
from mimdit.strict_json import describe, printable, strict_json
from mimdit.targets import Precision, Target, Unit, Variant

__all__ = [
    "ID_KEY",
    "MANIFEST_NAME",
    "SCHEMA_VERSION",
    "AccuracyRow",
    "Calibration",
    "DispatcherEntry",
    "FileEntry",
    "GoldenTile",
    "KeptOperation",
    "Manifest",
    "ModelEntry",
    "Parity",
    "PassedUnit",
    "Spread",
    "bundle_id",
    "parse_manifest",
]

SCHEMA_VERSION = 1
MANIFEST_NAME = "manifest.json"
ID_KEY = "mimdit.bundle"  # the metadata key under which a model file may carry the bundle's id

_SEGMENT = r"[A-Za-z0-9_-](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?"
_PATH = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")


def _relative(path: str) -> str:
    if not _PATH.fullmatch(path):
        raise ValueError("expected a relative path of A-Z a-z 0-9 . _ - and /, no segment with a dot at either end")
    return path


# Strings end up on terminals and in Markdown: no control characters, no line breaks, no change of reading direction.
Text = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$")]
RelativePath = Annotated[str, StringConstraints(max_length=200), AfterValidator(_relative)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FileEntry(_Frozen):
    """One file of the bundle. 16 GiB is beyond every model that we name, and keeps a sparse file from being hashed."""

    path: RelativePath
    sha256: Sha256
    bytes: int = Field(ge=0, le=16 * 2**30)


class Parity(_Frozen):
    """The file, run in its runtime, against the graph that it was made from; errors on the 0..1 scale, PSNR in dB.

    `psnr` is null where nothing was measured or the outputs are equal (it would be infinite).
    """

    status: Literal["passed", "not measured"]
    max_error: float | None = Field(default=None, ge=0)
    mean_error: float | None = Field(default=None, ge=0)
    psnr: float | None = None
    tolerance: float | None = Field(default=None, ge=0, description="the largest max_error that passes")
    reason: Text | None = Field(default=None, description="why nothing was measured")
    where: Text | None = Field(default=None, description="the tile and place of max_error")
    histogram: dict[Text, float] = Field(default_factory=dict, description="share of all values by size of error")

    @model_validator(mode="after")
    def _says_what_was_seen(self) -> "Parity":
        if self.status == "not measured":
            if not self.reason:
                raise ValueError("parity that was not measured needs a reason")
        elif self.max_error is None or self.mean_error is None or self.tolerance is None:
            raise ValueError("parity that passed needs max_error, mean_error and tolerance")
        elif self.max_error > self.tolerance:
            raise ValueError(f"parity cannot have passed: max error {self.max_error} is above {self.tolerance}")
        return self


class KeptOperation(_Frozen):
    """An operation that an fp16 file computes in fp32, and why (`mimdit.export.fp16_lint`)."""

    module: Text
    operation: Text
    reason: Text


class PassedUnit(_Frozen):
    """A runtime and unit that the file was held to parity on, by whoever built it."""

    runtime: Text
    unit: Unit
    version: Text = Field(description="of the runtime")
    max_error: float = Field(ge=0)


class GoldenTile(_Frozen):
    """A picture that a unit has to restore as the network does before it is used (`mimdit.runtimes.units`)."""

    file: RelativePath
    tolerance: float = Field(gt=0, description="the largest error on 0..1 that a unit may show")


class ModelEntry(_Frozen):
    """One variant at one tile size: image f32[1,3,T,T], photo f32[1,3,P,P] → restored f32[1,3,T,T], all in 0..1."""

    variant: Variant
    steps: int = Field(ge=1, le=1000, description="student steps, unrolled in the file")
    tile: int = Field(ge=8, le=8192, description="T, in pixels")
    file: RelativePath = Field(description="the file, or the folder (.mlpackage) that a runtime opens")
    plan: RoutingPlan
    parity: Parity
    parameters: int = Field(ge=0)
    gmac: float = Field(ge=0, description="10⁹ multiply-accumulates a tile")
    units: tuple[PassedUnit, ...] = Field(default=(), description="where it passed parity")
    golden: RelativePath | None = Field(default=None, description="every 4th pixel of the golden tile, restored")
    experts: dict[Text, Text] = Field(default_factory=dict, description="block.sub-expert → hash of its weights")
    kept_fp32: tuple[KeptOperation, ...] = ()
    floating: tuple[Text, ...] = Field(default=(), description="layers of a quantized file that stayed in float")

    @model_validator(mode="after")
    def _plan_of_the_same_variant(self) -> "ModelEntry":
        if self.plan.variant != self.variant:
            raise ValueError(f"the model is {self.variant}, its routing plan is for {self.plan.variant}")
        return self


class DispatcherEntry(_Frozen):
    """The network that names the variant: photo f32[1,3,P,P], crops f32[crops,3,crop,crop] → scores f32[1,classes]."""

    file: RelativePath
    classes: tuple[Variant, ...] = Field(min_length=1, description="in the order of the scores")
    threshold: float = Field(ge=0, le=1, description="a score above it says yes")
    crop: int = Field(ge=8, le=8192)
    crops: int = Field(ge=1, le=1024)


class AccuracyRow(_Frozen):
    """What a variant reaches on photos that it was not trained on: mean PSNR in dB, before and after."""

    variant: Variant
    degradation: Text
    dataset: Text
    images: int = Field(ge=1)
    input_psnr: float
    psnr: float


class Spread(_Frozen):
    """Smallest, median and largest of a measure over the tiles of a calibration set."""

    low: float
    middle: float
    high: float


class Calibration(_Frozen):
    """The tiles that the scales of activations were found on (`mimdit.quantize.calibration`)."""

    sha256: Sha256 = Field(description="of the tiles, in their order")
    source: Text = Field(description="the folder's name, or whose photos they are")
    photos: int = Field(ge=1)
    tile: int = Field(ge=8, le=8192)
    seed: int = Field(ge=0)
    kinds: dict[Text, int] = Field(description="degradation → tiles")
    coverage: dict[Text, Spread] = Field(description="brightness, noise and texture of the tiles, on 0..1")


class Manifest(_Frozen):
    """A bundle's description. `files` is empty until `write_bundle` has hashed them."""

    schema_version: Literal[1] = SCHEMA_VERSION
    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    name: Annotated[str, StringConstraints(pattern=rf"^{_SEGMENT}$", max_length=64)]
    checkpoint: Sha256
    target: Target
    precision: Precision
    platform: Text | None = Field(default=None, description="the kind of system or chip, where a file is for one")
    tile_overlap: int = Field(ge=0, description="pixels that neighbouring tiles share")
    photo_size: int = Field(default=64, ge=8, le=1024, description="P: side of the whole-photo view, in pixels")
    models: tuple[ModelEntry, ...] = Field(min_length=1)
    dispatcher: DispatcherEntry | None = None
    files: tuple[FileEntry, ...] = ()
    accuracy: tuple[AccuracyRow, ...] = ()
    golden: GoldenTile | None = Field(default=None, description="null in bundles built before there was one")
    calibration: Calibration | None = Field(default=None, description="where activations were quantized")
    built_with: dict[Text, Text] = Field(description="package → version; part of the id")
    command: Text = Field(description="the command that made it")

    @model_validator(mode="after")
    def _parts_agree(self) -> "Manifest":
        keys = [(model.variant, model.tile) for model in self.models]
        if len(set(keys)) != len(keys):
            raise ValueError(f"a variant is listed twice at one tile size: {keys}")
        smallest = min(model.tile for model in self.models)
        if 2 * self.tile_overlap > smallest:
            raise ValueError(f"tile_overlap {self.tile_overlap} is more than half of the smallest tile, {smallest}")
        expected = bundle_id(
            checkpoint=self.checkpoint,
            plans=[model.plan for model in self.models],
            target=self.target,
            precision=self.precision,
            tiles=[model.tile for model in self.models],
            built_with=self.built_with,
            platform=self.platform,
            calibration=self.calibration,
            floating={f"{model.variant}-{model.tile}": model.floating for model in self.models},
        )
        if self.id != expected:
            raise ValueError(f"id {self.id} does not follow from the content, which gives {expected}")
        if self.files:
            self._check_files()
        return self

    def _check_files(self) -> None:
        paths = [file.path for file in self.files]
        # macOS and Windows fold case: two such names would be one file there.
        if len({path.lower() for path in [*paths, MANIFEST_NAME]}) != len(paths) + 1:
            raise ValueError("a file is listed twice, differs only in case, or is the manifest itself")
        openable = set(paths) | {str(parent) for path in paths for parent in PurePosixPath(path).parents}
        named = [model.file for model in self.models] + ([self.dispatcher.file] if self.dispatcher else [])
        named += [model.golden for model in self.models if model.golden] + ([self.golden.file] if self.golden else [])
        for file in named:
            if file not in openable:
                raise ValueError(f"{file} is used but not listed in files")


def bundle_id(
    *,
    checkpoint: str,
    plans: Iterable[RoutingPlan],
    target: Target,
    precision: Precision,
    tiles: Iterable[int],
    built_with: Mapping[str, str],
    platform: str | None = None,
    calibration: Calibration | None = None,
    floating: Mapping[str, Iterable[str]] | None = None,
) -> str:
    """16 hex digits for what goes *into* a bundle: known before a file is made, so that the files can carry it."""
    plan_texts = {json.dumps(plan.model_dump(mode="json"), sort_keys=True) for plan in plans}
    content = [checkpoint, sorted(plan_texts), target, precision, sorted(set(tiles)), sorted(built_with.items())]
    if platform is not None:
        content.append(platform)
    if calibration is not None:
        content.append(calibration.sha256)
    if kept := {model: sorted(layers) for model, layers in (floating or {}).items() if layers}:
        content.append(sorted(kept.items()))
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def parse_manifest(text: bytes) -> Manifest:
    """Read a bundle's manifest.json strictly: no duplicate key, no NaN, no unknown key, no conversion of types.

    Raises BundleError with the first thing that is wrong.
    """
    try:
        content = strict_json(text)
        version = content.get("schema_version") if isinstance(content, dict) else None
        if version != SCHEMA_VERSION or isinstance(version, bool):
            raise ValueError(
                f"expected schema_version {SCHEMA_VERSION}, found {version!r:.40}: update mimdit or rebuild"
            )
        manifest = Manifest.model_validate_json(text, strict=True)
        if not manifest.files:
            raise ValueError("expected the bundle's files, found none listed")
    except ValidationError as error:
        raise BundleError(f"{MANIFEST_NAME}, {describe(error)}; rebuild the bundle") from None
    except RecursionError:
        raise BundleError(f"{MANIFEST_NAME} is nested too deeply: expected the schema of docs/bundle.md") from None
    except ValueError as error:  # includes UnicodeDecodeError and JSONDecodeError
        raise BundleError(printable(f"{MANIFEST_NAME} cannot be read: {error}")) from None
    return manifest
