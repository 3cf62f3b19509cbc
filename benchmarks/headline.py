"""The first row of every report: the device against the reference."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, median

from pydantic import BaseModel, ConfigDict, Field

from mimdit.benchmarks.run_file import Reference, Result, Run
from mimdit.benchmarks.table import TableContent

__all__ = ["CUDA_NOT_MEASURED", "TITLE", "Headline", "headline", "headline_table", "headlines"]

TITLE = "Device against reference"
CUDA_NOT_MEASURED = "CUDA: not measured"
_TILE = 256  # px: the tile that goldens are timed with


class Headline(BaseModel):
    """One bundle on the device against the reference; null is unknown. A CPU figure never stands in for CUDA."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: str
    device: str
    reference: str = Field(description="steps, and where the golden's outputs were computed")
    lost: dict[str, float] = Field(description="degradation → mean dB behind the reference")
    megabytes: float
    seconds: float | None = Field(description="median of a tile")
    times: float | None = Field(description="that over the reference's on CUDA")
    cuda: str
    sd35_medium: str | None = Field(description="a tile on CUDA, random weights: latency only")

    def sentence(self) -> str:
        """All of it in one line."""
        lost = ", ".join(f"{name} {_change(value)}" for name, value in self.lost.items()) or "dB not measured"
        time = "not timed" if self.seconds is None else f"{1000 * self.seconds:.1f} ms a tile"
        times = self.cuda if self.times is None else f"{self.times:.1f} × the latency of {self.cuda}"
        extra = "" if self.sd35_medium is None else f"; {self.sd35_medium}"
        where = f"{self.bundle} on {self.device} against {self.reference}"
        return f"{where}: {lost}; {time}, {times}{extra}; {self.megabytes:.1f} MB"


def headlines(run: Run) -> tuple[Headline, ...]:
    """One for each result of a run."""
    return tuple(headline(run, result) for result in run.results)


def headline(run: Run, result: Result) -> Headline:
    """One result of a run against the run's reference."""
    reference = run.reference
    lost: dict[str, list[float]] = defaultdict(list)
    for row in result.drift or ():
        if row.lost is not None:
            lost[row.degradation].append(row.lost)
    seconds = result.latency.graph.median if result.latency else None
    cuda = median(reference.cuda_seconds) if reference and reference.cuda_seconds else None
    times = seconds / cuda if seconds is not None and cuda is not None and result.key.tile == _TILE else None
    return Headline(
        bundle=result.name,
        device=run.device.processor or run.device.architecture,
        reference=f"reference ({reference.steps} steps, {reference.device})"
        if reference
        else "no reference: no golden",
        lost={name: round(fmean(values), 4) for name, values in lost.items()},
        megabytes=result.size.bundle_bytes / 1e6,
        seconds=seconds,
        times=times,
        cuda=f"{reference.cuda_device} ({1000 * cuda:.1f} ms)" if reference and cuda else CUDA_NOT_MEASURED,
        sd35_medium=_sd35_medium(reference),
    )


def headline_table(lines: Sequence[Headline]) -> TableContent:
    """A row for each; dB lost in a column for each degradation, or in one that says that there was no golden."""
    degradations = tuple(dict.fromkeys(name for line in lines for name in line.lost))
    rows = []
    for line in lines:
        lost = tuple(_change(line.lost[name]) if name in line.lost else "–" for name in degradations)
        rows.append(
            (
                f"{line.bundle} on {line.device}",
                *(lost or ("not measured",)),
                "–" if line.seconds is None else f"{1000 * line.seconds:.1f}",
                line.cuda if line.times is None else f"{line.times:.1f} × {line.cuda}",
                f"{line.megabytes:.1f}",
                "; ".join(filter(None, [line.reference, line.sd35_medium])),
            )
        )
    columns = (TITLE, *(degradations or ("dB lost",)), "ms a tile", "latency against CUDA", "MB", "reference")
    return TableContent(TITLE, columns, tuple(rows))


def _change(lost: float) -> str:
    """As a change of the photo: a loss is negative."""
    return f"{0.0 - lost:+.2f} dB"


def _sd35_medium(reference: Reference | None) -> str | None:
    if reference is None or not reference.sd35_medium_seconds:
        return None
    return f"sd35-medium, random weights, latency only: {1000 * median(reference.sd35_medium_seconds):.1f} ms"
