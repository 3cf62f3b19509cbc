"""A run as tables: the device against the reference, then times, then quality. Terminal and Markdown show the same."""

from collections.abc import Sequence
from statistics import fmean, median

from mimdit.benchmarks.headline import headline_table, headlines
from mimdit.benchmarks.run_file import ImageResult, Result, Run
from mimdit.benchmarks.sustained import sustained
from mimdit.benchmarks.table import TableContent, markdown_lines

__all__ = ["facts", "markdown", "tables"]


def facts(run: Run) -> dict[str, str]:
    """Where and how it was measured, most important first; unknown ones are left out."""
    device, state = run.device, run.conditions
    hot = [f"{name} {state.temperature_before[name]:.0f} → {t:.0f} °C" for name, t in state.temperature_after.items()]
    known = {
        "INVALID": state.invalid,
        "processor": f"{device.processor or device.architecture}, {device.cores} cores, {device.system}",
        "instruction set": " ".join(device.instruction_set) or None,
        "threads": ", ".join(sorted({str(result.key.threads) for result in run.results})),
        "affinity": None if state.affinity is None else "cores " + " ".join(map(str, state.affinity)),
        "governor": state.governor,
        "power mode": state.power_mode,
        "temperature": ", ".join(hot) or None,
        "load before": None if state.load_before is None else f"{state.load_before:.2f}",
        "commit": run.provenance.commit,
        "mimdit": run.provenance.mimdit,
        "measured": run.provenance.created,
        "command": run.provenance.command,
    }
    return {name: value for name, value in known.items() if value is not None}


def tables(run: Run) -> list[TableContent]:
    """The first is the device against the reference."""
    made = [headline_table(headlines(run)), _times(run), _starts(run), _qualities(run), _sustained(run), _energies(run)]
    made.append(_operations(run))
    return [table for table in made if table.rows]


def markdown(run: Run) -> str:
    first, *others = tables(run)
    lines = ["# Run", "", *markdown_lines(first), ""]
    lines += [f"- **{name}**: {value}" for name, value in facts(run).items()]
    for table in others:
        lines += ["", f"## {table.title}", "", *markdown_lines(table)]
    return "\n".join(lines) + "\n"


def _times(run: Run) -> TableContent:
    rows = []
    for result in run.results:
        graph = result.latency.graph if result.latency else None
        photo = [second for image in result.images for second in image.seconds]
        per_megapixel = [s / i.megapixels for i in result.images if i.megapixels for s in i.seconds]
        share = result.roofline and f"{100 * result.roofline.share:.0f} % of {result.roofline.gemm_gflops:.0f} GFLOP/s"
        rows.append(
            (
                result.name,
                f"{result.key.target} {result.key.precision} {result.key.unit}",
                _ms(graph and graph.median),
                _interval(graph and graph.median_interval),
                _ms(graph and graph.p90),
                _ms(graph and graph.p99),
                str(len(graph.seconds) if graph else 0),
                _ms(median(photo) if photo else None),
                _number(median(per_megapixel) if per_megapixel else None, ".2f"),
                share or "–",
            )
        )
    head = ("tile median ms", "95 % interval", "p90", "p99", "samples", "photo median ms", "s/megapixel", "GEMM")
    return TableContent("Latency", ("bundle", "runtime", *head), tuple(rows))


def _operations(run: Run) -> TableContent:
    """Of bundles below half of the matrix product: what takes at least 2 % of the time."""
    rows = [
        (result.name, operation.operation, str(operation.count), f"{operation.share:.1%}")
        for result in run.results
        for operation in (result.roofline.operations if result.roofline else ())
        if operation.share >= 0.02
    ]
    head = ("bundle", "operation", "a tile", "share of the time")
    return TableContent("Where the time goes, below half of the matrix product", head, tuple(rows))


def _starts(run: Run) -> TableContent:
    rows = []
    for result in run.results:
        if (times := result.latency) is not None:
            cold = "" if times.cache_dropped else " (from cache)"
            peak = result.memory and result.memory.peak_bytes
            settled = "settled" if times.steady else "NOT settled"
            rows.append(
                (
                    result.name,
                    _ms(times.cold_load) + cold,
                    _ms(times.warm_load),
                    _ms(times.first_inference),
                    f"{len(times.warmup)} samples, {settled}",
                    f"{result.size.bundle_bytes / 1e6:.1f}",
                    "–" if not peak else f"{peak / 1e6:.0f}",
                )
            )
    head = ("cold load ms", "warm load ms", "first inference ms", "warm-up", "MB", "peak memory MB")
    return TableContent("Starting, size, memory", ("bundle", *head), tuple(rows))


def _qualities(run: Run) -> TableContent:
    rows = []
    for result in run.results:
        groups: dict[tuple[str, str], list[ImageResult]] = {}
        for image in result.images:
            groups.setdefault((image.degradation, image.dataset), []).append(image)
        rows += [_quality(result, name, images) for name, images in groups.items()]
    head = ("degradation", "data set", "photos", "failed", "input dB", "restored dB", "gain dB", "worst gain dB")
    return TableContent("Quality", ("bundle", *head), tuple(rows))


def _quality(result: Result, name: tuple[str, str], images: Sequence[ImageResult]) -> tuple[str, ...]:
    known = [(i.input_psnr, i.psnr) for i in images if i.input_psnr is not None and i.psnr is not None]
    before, after = [pair[0] for pair in known], [pair[1] for pair in known]
    gains = [b - a for a, b in known]
    return (
        result.name,
        *name,
        str(len(images)),
        str(sum(image.error is not None for image in images)),
        _number(fmean(before) if known else None, ".2f"),
        _number(fmean(after) if known else None, ".2f"),
        _number(fmean(gains) if known else None, "+.2f"),
        _number(min(gains) if known else None, "+.2f"),
    )


def _sustained(run: Run) -> TableContent:
    rows = []
    for result in run.results:
        curve = sustained(result.latency.graph) if result.latency else None
        if curve is not None:
            throttled = "never" if curve.throttled_at is None else f"minute {curve.throttled_at}"
            last = f"{_ms(curve.minutes[-1])} (minute {len(curve.minutes)})"
            rows.append((result.name, _ms(curve.minutes[0]), last, f"{curve.slowdown:.2f}", throttled))
    head = ("minute 1 ms", "last ms", "last over first", "throttled from")
    return TableContent("Sustained", ("bundle", *head), tuple(rows))


def _energies(run: Run) -> TableContent:
    rows = []
    for result in run.results:
        for energy in result.energy:
            figures = (_number(value, ".2f") for value in (energy.joules_per_photo, energy.joules_per_megapixel))
            rows.append((result.name, energy.meter, *figures, energy.reason or ""))
    return TableContent("Energy", ("bundle", "meter", "J/photo", "J/megapixel", "why not"), tuple(rows))


def _interval(interval: tuple[float, float] | None) -> str:
    return "–" if interval is None else f"{1000 * interval[0]:.2f} … {1000 * interval[1]:.2f}"


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1000 * seconds:.2f}"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
