"""The first row of every report: the device against the reference."""

from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean, median

from mimdit.benchmarks.run_file import Result, Run

__all__ = ["CUDA_NOT_MEASURED", "Headline", "headline"]

CUDA_NOT_MEASURED = "CUDA: not measured"
_TILE = 256  # px: the tile that goldens are timed with


@dataclass(frozen=True)
class Headline:
    """lost: degradation → mean dB behind the reference · times: the latency over CUDA's · None is unknown."""

    device: str
    reference: str
    lost: dict[str, float]
    megabytes: float
    seconds: float | None
    times: float | None
    cuda: str
    sd35_medium: str | None

    def sentence(self) -> str:
        """All of it in one line."""
        lost = ", ".join(f"{name} {-value:+.2f} dB" for name, value in self.lost.items()) or "dB not measured"
        time = "not timed" if self.seconds is None else f"{1000 * self.seconds:.1f} ms a tile"
        times = self.cuda if self.times is None else f"{self.times:.1f} × the latency of {self.cuda}"
        extra = "" if self.sd35_medium is None else f"; {self.sd35_medium}"
        return f"{self.device} against {self.reference}: {lost}; {time}, {times}{extra}; {self.megabytes:.1f} MB"


def headline(run: Run, result: Result) -> Headline:
    """One result of a run against the run's reference. A CPU figure never stands in for CUDA."""
    reference = run.reference
    lost: dict[str, list[float]] = defaultdict(list)
    for row in result.drift or ():
        if row.lost is not None:
            lost[row.degradation].append(row.lost)
    seconds = result.latency.graph.median if result.latency else None
    cuda = median(reference.cuda_seconds) if reference and reference.cuda_seconds else None
    times = seconds / cuda if seconds is not None and cuda is not None and result.key.tile == _TILE else None
    medium = median(reference.sd35_medium_seconds) if reference and reference.sd35_medium_seconds else None
    return Headline(
        device=run.device.processor or run.device.architecture,
        reference=f"reference ({reference.steps} steps, {reference.device})"
        if reference
        else "no reference: no golden",
        lost={name: fmean(values) for name, values in lost.items()},
        megabytes=result.size.bundle_bytes / 1e6,
        seconds=seconds,
        times=times,
        cuda=f"{reference.cuda_device} ({1000 * cuda:.1f} ms)" if reference and cuda else CUDA_NOT_MEASURED,
        sd35_medium=None if medium is None else f"sd35-medium, random weights, latency only: {1000 * medium:.1f} ms",
    )
