"""The run file: what was measured of one or several bundles, on one machine, with every raw sample. A baseline is one.

One versioned schema, published as docs/schemas/run.schema.json (`python -m mimdit.benchmarks.run_schema`). Times are
in seconds, sizes in bytes, energies in joules, qualities in dB. Null is unknown, and what was not measured says why.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mimdit.benchmarks.defects import Defects
from mimdit.benchmarks.device import Device
from mimdit.benchmarks.factors import Factors
from mimdit.benchmarks.statistics import median_interval, percentile
from mimdit.errors import MimditError
from mimdit.files import write_file
from mimdit.strict_json import describe
from mimdit.targets import Precision, Target, Unit, Variant

__all__ = [
    "SCHEMA_VERSION",
    "Accepted",
    "Conditions",
    "DriftResult",
    "Energy",
    "ImageResult",
    "Key",
    "Latency",
    "Memory",
    "OperationShare",
    "Provenance",
    "Reference",
    "Result",
    "Roofline",
    "Run",
    "Samples",
    "Size",
    "parse_run",
    "read_run",
    "write_run",
]

SCHEMA_VERSION = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Key(_Frozen):
    """What was measured, and on what. Two results compare in time and memory only if all but `bundle` is equal."""

    bundle: str = Field(description="the bundle's id")
    variant: str = Field(description="what was asked for: a variant, matched or auto")
    target: Target
    precision: Precision
    unit: Unit
    tile: int = Field(ge=1, description="px")
    threads: int = Field(ge=1)
    processor: str | None
    instruction_set: tuple[str, ...] = Field(description="of those that decide speed and rounding, see mimdit.cpu")


class Samples(_Frozen):
    """Measured times, in the order of measuring, and what may be said of them (`Samples.of` makes one)."""

    seconds: tuple[float, ...] = Field(description="every sample, none left out")
    began: tuple[float, ...] | None = Field(default=None, description="s since the first sample; null: not kept")
    median: float | None
    median_interval: tuple[float, float] | None = Field(description="95 % of confidence; null below 6 samples")
    p90: float | None = Field(description="null below 64 samples")
    p99: float | None = Field(description="null below 662 samples")

    @classmethod
    def of(cls, seconds: Sequence[float], began: Sequence[float] | None = None) -> "Samples":
        return cls(seconds=tuple(seconds), began=None if began is None else tuple(began), **_said_of(seconds))

    @model_validator(mode="after")
    def _says_what_it_holds(self) -> "Samples":
        if self.began is not None and len(self.began) != len(self.seconds):
            raise ValueError(f"expected as many beginnings as samples, found {len(self.began)} and {len(self.seconds)}")
        for name, value in _said_of(self.seconds).items():
            if getattr(self, name) != value:
                raise ValueError(f"{name} does not follow from the samples, which give {value}")
        return self


class ImageResult(_Frozen):
    """One photo, restored. Where `error` says what went wrong, nothing was measured."""

    degradation: str
    dataset: str
    image: str
    megapixels: float | None = None
    used: str | None = Field(default=None, description="the variant that restored it, or none")
    input_psnr: float | None = Field(default=None, description="dB of the degraded photo; null without a truth")
    psnr: float | None = Field(default=None, description="dB of the restored photo against its truth")
    ssim: float | None = None
    flip: float | None = None
    defects: Defects | None = None
    seconds: tuple[float, ...] = Field(default=(), description="photo-to-photo times, decoded photo to restored photo")
    error: str | None = None


class DriftResult(_Frozen):
    """One golden input: the device's output against the reference's."""

    degradation: str
    image: str
    agreement: float = Field(description="dB between the two outputs, at most 100, which means equal")
    max_levels: int = Field(ge=0, le=255, description="largest difference of a value")
    lost: float | None = Field(description="dB: the reference's PSNR minus the device's; null without a truth")


class Latency(_Frozen):
    """Times of one bundle. `graph` is one tile through the runtime; photo-to-photo times stand with the images."""

    variant: Variant = Field(description="whose graph was timed")
    graph: Samples = Field(description="steady state")
    warmup: tuple[float, ...] = Field(description="samples before the steady state, first inference excluded")
    steady: bool = Field(description="whether times had settled when `graph` began")
    first_inference: float | None = Field(description="in a fresh process, after cold_load")
    cold_load: float | None = Field(description="fresh process: bundle opened and checked, runtime imported and ready")
    cache_dropped: bool = Field(description="whether cold_load read from the disk, not from the system's cache")
    warm_load: float | None = Field(description="the same once more in the same process")
    interleaved_with: tuple[str, ...] = Field(description="ids of the bundles measured in turn with this one")
    timer: float = Field(ge=0, description="s that the measuring itself adds to a sample")


class Size(_Frozen):
    bundle_bytes: int = Field(ge=0)
    files: dict[str, int] = Field(description="path → bytes")


class Memory(_Frozen):
    """Peak resident memory of a process that opens the bundle and restores one photo."""

    peak_bytes: int | None
    megapixels: float | None = Field(description="of that photo")
    reason: str | None = Field(default=None, description="why nothing was measured")


class Energy(_Frozen):
    """What one meter saw while photos were restored, the idle machine included; null, with the reason, without one."""

    meter: str
    joules: float | None = Field(default=None, description="over all of `photos`")
    seconds: float | None = None
    photos: int = Field(default=0, ge=0)
    megapixels: float = 0.0
    joules_per_photo: float | None = None
    joules_per_megapixel: float | None = None
    reason: str | None = Field(default=None, description="why nothing was measured")


class OperationShare(_Frozen):
    """One kind of operation of a graph, as the runtime names it."""

    operation: str
    count: int = Field(description="how many a tile")
    share: float = Field(description="of the time in all operations")


class Roofline(_Frozen):
    """What the median graph time reaches of the two roofs of the same cores: arithmetic and memory."""

    gmac: float = Field(description="of one tile, from the manifest")
    gflops: float = Field(description="10⁹ operations/s reached")
    gemm_gflops: float = Field(description="the same of a matrix product")
    share: float = Field(description="gflops over gemm_gflops")
    memory_gbytes: float = Field(description="10⁹ bytes/s read by a matrix-vector product")
    intensity: float = Field(
        description="operations a byte that must be moved at least: weights once, a tile in and out"
    )
    operations: tuple[OperationShare, ...] = Field(default=(), description="where the time goes, if share is below 0.5")


class Result(_Frozen):
    """All that was measured of one bundle."""

    name: str = Field(description="the bundle's file name")
    key: Key
    factors: Factors | None = Field(default=None, description="what the bundle was made from; null: not looked at")
    size: Size
    images: tuple[ImageResult, ...] = ()
    drift: tuple[DriftResult, ...] | None = Field(default=None, description="null: no golden was given")
    latency: Latency | None = None
    memory: Memory | None = None
    energy: tuple[Energy, ...] = ()
    roofline: Roofline | None = None


class Reference(_Frozen):
    """The golden that drift was measured against; figures of the full model, from its own device."""

    golden: str = Field(description="hash of the golden's content")
    checkpoint: str
    steps: int
    device: str = Field(description="where the golden's outputs were computed")
    psnr: dict[str, float] = Field(description="degradation → mean dB against the truth")
    cuda_device: str | None = Field(description="null: CUDA was not measured")
    cuda_seconds: tuple[float, ...] | None = Field(description="one tile on CUDA; never a CPU figure")
    sd35_medium_seconds: tuple[float, ...] | None = Field(description="CUDA, random weights: latency only")


class Conditions(_Frozen):
    """The state of the machine; null is unknown. `invalid` says why times must not be used."""

    affinity: tuple[int, ...] | None = Field(description="cores that the process may use")
    governor: str | None = Field(description="of the processor's clock")
    power_mode: str | None
    temperature_before: dict[str, float] = Field(description="sensor → °C")
    temperature_after: dict[str, float]
    load_before: float | None = Field(description="processes that were running or waiting, mean of a minute")
    notes: dict[str, str] = Field(default={}, description="what a device's own tools said of it")
    invalid: str | None = Field(default=None, description="for example the wrong power mode")


class Provenance(_Frozen):
    mimdit: str = Field(description="version")
    commit: str | None = Field(description="of the source tree, -dirty if changed; null when not run from one")
    command: str
    created: str = Field(description="UTC, ISO 8601")
    versions: dict[str, str | None]
    seed: int = Field(description="of the order in which bundles take turns")


class Accepted(_Frozen):
    """Makes a run a baseline. The anchor is what the first baseline of its line reached: small losses add up to it."""

    created: str = Field(description="UTC, ISO 8601")
    reason: str
    anchor: tuple[ImageResult, ...] = Field(description="images of the first accepted run")


class Run(_Frozen):
    """A run file. Converters, gate and reports read nothing else."""

    schema_version: Literal[1] = SCHEMA_VERSION
    device: Device
    conditions: Conditions
    provenance: Provenance
    reference: Reference | None = None
    results: tuple[Result, ...] = Field(min_length=1)
    accepted: Accepted | None = Field(default=None, description="null: a run, not a baseline")


def read_run(path: Path) -> Run:
    """Raises MimditError, one line, for whatever is no run file of this version."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise MimditError(
            f"{path}: cannot be read ({error.strerror}): name a file that `mimdit bench -o` wrote"
        ) from None
    return parse_run(text, str(path))


def parse_run(text: bytes, name: str) -> Run:
    """The same for a file's content; `name` is what messages call it."""
    try:
        content = json.loads(text)
        version = content.get("schema_version") if isinstance(content, dict) else None
        if version != SCHEMA_VERSION:
            raise MimditError(f"{name}: expected a run file of schema_version {SCHEMA_VERSION}, found {version!r:.40}")
        return Run.model_validate_json(text)
    except ValidationError as error:
        raise MimditError(f"{name}: is no run file: {describe(error)}") from None
    except (ValueError, RecursionError) as error:
        raise MimditError(f"{name}: is no JSON ({error!s:.100}): name a file that `mimdit bench -o` wrote") from None


def write_run(run: Run, path: Path, *, overwrite: bool = False) -> None:
    """Raises MimditError where the place cannot be written."""
    write_file(path, (run.model_dump_json(indent=1) + "\n").encode(), overwrite=overwrite)


def _said_of(seconds: Sequence[float]) -> dict:
    """What `Samples` says of its samples."""
    from statistics import median

    return {
        "median": float(median(seconds)) if seconds else None,
        "median_interval": median_interval(seconds),
        "p90": percentile(seconds, 90),
        "p99": percentile(seconds, 99),
    }
