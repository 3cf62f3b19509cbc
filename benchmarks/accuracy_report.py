"""What an accuracy run leaves: a row for every restored photo, means for every group, and both as Markdown."""

from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mimdit.benchmarks.alignment import Shift
from mimdit.benchmarks.defects import Defects
from mimdit.benchmarks.device import Device
from mimdit.benchmarks.quality import Quality

__all__ = ["Report", "Row", "Summary", "markdown", "summarise"]

_SCORES = ("seam_score", "patch_score")
_LEGEND = (
    "PSNR in dB over RGB, mean over the photos; FLIP: smaller is better; seam_score and patch_score: the worst photo."
)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Row(_Frozen):
    """One photo, restored by one method. Where `error` says what went wrong, nothing was measured."""

    method: str = Field(description="a model, or what else restored it")
    variant: str | None = Field(description="what was asked for: a variant, or auto; null where there are none")
    degradation: str
    dataset: str
    image: str
    used: str | None = Field(default=None, description="the variant that restored it, or none")
    input: Quality
    restored: Quality = Quality()
    shift: Shift | None = Field(default=None, description="px (down, right) that gave the best agreement; null: 0, 0")
    defects: Defects | None = None
    seconds: float | None = None
    error: str | None = None

    @property
    def key(self) -> tuple[str, str, str, str | None]:
        """What a summary averages over."""
        return self.degradation, self.dataset, self.method, self.variant


class Summary(_Frozen):
    """Means over the photos of one group, restored by one method; those that failed are counted and left out."""

    degradation: str
    dataset: str
    method: str
    variant: str | None
    images: int
    failed: int
    suspicious: int = Field(description="photos whose defects call for a look")
    input: Quality
    restored: Quality
    cast: float | None = Field(description="mean colour cast, in levels of 255")
    seconds: float | None
    least: float | None = Field(default=None, description="PSNR of the worst photo, dB")
    seam_score: float | None = Field(default=None, description="the worst photo's; see docs/restoring.md")
    patch_score: float | None = Field(default=None, description="the worst photo's, in levels of 255")

    @property
    def gain(self) -> float | None:
        """dB of PSNR over the input."""
        before, after = self.input.psnr, self.restored.psnr
        return None if before is None or after is None else after - before


class Report(_Frozen):
    """A whole run. `methods` says what each method was: a bundle's id, a checkpoint's hash, a package's version."""

    schema_version: Literal[1] = 1
    command: str
    device: Device
    versions: dict[str, str | None]
    methods: dict[str, str]
    summary: tuple[Summary, ...]
    rows: tuple[Row, ...]


def summarise(rows: Sequence[Row]) -> tuple[Summary, ...]:
    """One summary a key, in the order of the first rows."""
    groups: dict[tuple[str, str, str, str | None], list[Row]] = {}
    for row in rows:
        groups.setdefault(row.key, []).append(row)
    return tuple(_summary(group) for group in groups.values())


def markdown(report: Report) -> str:
    """The means as one table, and the photos to look at as another."""
    lines = ["# Accuracy", "", _LEGEND, ""]
    lines += [f"- `{report.command}`", *(f"- {name}: {identity}" for name, identity in report.methods.items())]
    lines += [f"- {report.device.processor or report.device.architecture}, {report.device.system}", ""]
    columns = (
        "degradation",
        "data set",
        "method",
        "variant",
        "images",
        "input",
        "restored",
        "gain",
        "SSIM",
        "FLIP",
        *_SCORES,
    )
    lines += _table(columns, [_cells(summary) for summary in report.summary], right_from=4)
    suspects = [row for row in report.rows if row.error or (row.defects and row.defects.suspicious)]
    if suspects:
        lines += ["", "## Photos to look at", ""]
        columns = ("degradation", "data set", "method", "variant", "image", "why")
        lines += _table(columns, [(*map(_text, row.key), row.image, _why(row)) for row in suspects], right_from=6)
    return "\n".join(lines) + "\n"


def _summary(rows: Sequence[Row]) -> Summary:
    done = [row for row in rows if row.error is None]
    looks = [row.defects for row in done if row.defects]
    degradation, dataset, method, variant = rows[0].key
    return Summary(
        degradation=degradation,
        dataset=dataset,
        method=method,
        variant=variant,
        images=len(done),
        failed=len(rows) - len(done),
        suspicious=sum(look.suspicious for look in looks),
        input=_mean_quality([row.input for row in done]),
        restored=_mean_quality([row.restored for row in done]),
        cast=_mean([look.cast for look in looks]),
        seconds=_mean([row.seconds for row in done]),
        least=min((row.restored.psnr for row in done if row.restored.psnr is not None), default=None),
        seam_score=max((look.seam_score for look in looks if look.seam_score is not None), default=None),
        patch_score=max((look.patch_score for look in looks if look.patch_score is not None), default=None),
    )


def _mean_quality(qualities: Sequence[Quality]) -> Quality:
    return Quality(
        psnr=_mean([quality.psnr for quality in qualities]),
        ssim=_mean([quality.ssim for quality in qualities]),
        flip=_mean([quality.flip for quality in qualities]),
        sharpness=_mean([quality.sharpness for quality in qualities]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """Null where there is no value, and where one is unknown: a mean over other photos would not compare."""
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def _cells(summary: Summary) -> tuple[str, ...]:
    failed = f" ({summary.failed} failed)" if summary.failed else ""
    before, after = summary.input, summary.restored
    return (
        *map(_text, (summary.degradation, summary.dataset, summary.method, summary.variant)),
        f"{summary.images}{failed}",
        _number(before.psnr, ".2f"),
        _number(after.psnr, ".2f"),
        _number(summary.gain, "+.2f"),
        f"{_number(before.ssim, '.3f')} → {_number(after.ssim, '.3f')}",
        f"{_number(before.flip, '.3f')} → {_number(after.flip, '.3f')}",
        _number(summary.seam_score, ".1f"),
        _number(summary.patch_score, ".1f"),
    )


def _why(row: Row) -> str:
    if row.error or not row.defects:
        return _text(row.error)
    look = row.defects
    return (
        f"black blocks {look.black_blocks}, cast {look.cast:.1f} (input {look.input_cast:.1f}), "
        f"seam {look.seam:.1f} (input {look.input_seam:.1f}), "
        f"seam_score {_number(look.seam_score, '.1f')}, patch_score {_number(look.patch_score, '.1f')}"
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], right_from: int) -> list[str]:
    marks = ["---:" if i >= right_from else "---" for i in range(len(columns))]
    return [f"| {' | '.join(cells)} |" for cells in (columns, marks, *rows)]


def _text(value: str | None) -> str:
    return "–" if value is None else value.replace("|", "\\|")


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
