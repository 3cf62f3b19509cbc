"""A run file in other tools' words. One more format is one more function and one more entry of `FORMATS`."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from statistics import fmean, quantiles, stdev
from typing import Any

from pydantic import BaseModel

from mimdit.benchmarks.run_file import Result, Run
from mimdit.benchmarks.run_tables import markdown

__all__ = ["FORMATS", "Measure", "measures"]


class Measure(BaseModel):
    """One figure in a row of its own; what does not apply is null."""

    bundle: str
    bundle_id: str
    target: str
    precision: str
    unit: str
    variant: str
    tile: int
    threads: int
    processor: str | None
    metric: str
    degradation: str | None = None
    dataset: str | None = None
    image: str | None = None
    value: float
    of: str  # the metric's unit of measure


def measures(run: Run) -> Iterator[Measure]:
    """Every figure of a run, raw graph samples aside."""
    for result in run.results:
        key = result.key.model_dump(exclude={"bundle", "instruction_set"})
        known: dict[str, Any] = {"bundle": result.name, "bundle_id": result.key.bundle, **key}
        for metric, value, of in _figures(result):
            if value is not None:
                yield Measure(**known, metric=metric, value=value, of=of)
        for image in result.images:
            where: dict[str, Any] = {"degradation": image.degradation, "dataset": image.dataset, "image": image.image}
            figures = (("input_psnr", image.input_psnr, "dB"), ("psnr", image.psnr, "dB"), ("ssim", image.ssim, "1"))
            photo = (("flip", image.flip, "1"), *(("photo_to_photo", second, "s") for second in image.seconds))
            for metric, value, of in (*figures, *photo):
                if value is not None:
                    yield Measure(**known, **where, metric=metric, value=value, of=of)
        for row in result.drift or ():
            where: dict[str, Any] = {"degradation": row.degradation, "dataset": "golden", "image": row.image}
            yield Measure(**known, **where, metric="agreement", value=row.agreement, of="dB")
            if row.lost is not None:
                yield Measure(**known, **where, metric="lost", value=row.lost, of="dB")


def _figures(result: Result) -> Iterator[tuple[str, float | None, str]]:
    """Costs of the whole bundle: the less the better, all of them."""
    if times := result.latency:
        yield "graph_median", times.graph.median, "s"
        yield "graph_p90", times.graph.p90, "s"
        yield "graph_p99", times.graph.p99, "s"
        yield "cold_load", times.cold_load, "s"
        yield "warm_load", times.warm_load, "s"
        yield "first_inference", times.first_inference, "s"
    yield "bundle_size", result.size.bundle_bytes, "B"
    yield "peak_memory", result.memory and result.memory.peak_bytes, "B"
    for energy in result.energy:
        yield f"energy_{energy.meter}", energy.joules_per_photo, "J/photo"


def _jsonl(run: Run) -> str:
    return "".join(f"{measure.model_dump_json()}\n" for measure in measures(run))


def _csv(run: Run) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Measure.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(measure.model_dump() for measure in measures(run))
    return text.getvalue()


def _github_costs(run: Run) -> str:
    """github-action-benchmark's `customSmallerIsBetter`."""
    entries = []
    for result in run.results:
        interval = result.latency and result.latency.graph.median_interval
        for metric, value, of in _figures(result):
            if value is not None:
                entry = {"name": f"{result.name}: {metric}", "unit": of, "value": value}
                if metric == "graph_median" and interval is not None:
                    entry["range"] = f"{interval[0]:.6g} … {interval[1]:.6g}"
                entries.append(entry | {"extra": _extra(run, result)})
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"


def _github_quality(run: Run) -> str:
    """github-action-benchmark's `customBiggerIsBetter`: mean PSNR per degradation."""
    entries = []
    for result in run.results:
        groups: dict[str, list[float]] = {}
        for image in result.images:
            if image.psnr is not None:
                groups.setdefault(image.degradation, []).append(image.psnr)
        entries += [
            {"name": f"{result.name}: {name}", "unit": "dB", "value": fmean(psnr), "extra": _extra(run, result)}
            for name, psnr in groups.items()
        ]
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"


def _extra(run: Run, result: Result) -> str:
    key = result.key
    return f"{key.target} {key.precision} {key.unit}, {key.threads} threads, {key.processor}, {run.provenance.commit}"


def _pytest_benchmark(run: Run) -> str:
    """What `pytest --benchmark-json` writes, so that `pytest-benchmark compare` reads it."""
    benchmarks = []
    for result in run.results:
        if result.latency is None:
            continue
        data = list(result.latency.graph.seconds)
        low, middle, high = quantiles(data, n=4) if len(data) > 1 else [data[0]] * 3
        mean = fmean(data)
        stats = {
            "min": min(data),
            "max": max(data),
            "mean": mean,
            "stddev": stdev(data) if len(data) > 1 else 0.0,
            "rounds": len(data),
            "median": middle,
            "q1": low,
            "q3": high,
            "iqr": high - low,
            "iqr_outliers": sum(not low - 1.5 * (high - low) <= x <= high + 1.5 * (high - low) for x in data),
            "ops": 1 / mean,
            "total": sum(data),
            "iterations": 1,
            "data": list(data),
        }
        spread = stats["stddev"]
        stats["stddev_outliers"] = sum(abs(x - mean) > spread for x in data)
        stats["outliers"] = f"{stats['stddev_outliers']};{stats['iqr_outliers']}"
        inside = [x for x in data if low - 1.5 * (high - low) <= x <= high + 1.5 * (high - low)]
        stats |= {"ld15iqr": min(inside), "hd15iqr": max(inside)}
        benchmarks.append(
            {
                "group": "graph",
                "name": result.name,
                "fullname": f"mimdit bench::{result.name}",
                "params": None,
                "param": None,
                "extra_info": result.key.model_dump(mode="json"),
                "options": {"disable_gc": False, "timer": "perf_counter", "min_rounds": len(data), "warmup": True},
                "stats": stats,
            }
        )
    commit = run.provenance.commit or "unknown"
    content = {
        "machine_info": {
            "node": "",
            "processor": run.device.processor,
            "machine": run.device.architecture,
            "python_version": run.provenance.versions.get("python"),
            "system": run.device.system,
            "cpu": {"brand_raw": run.device.processor, "count": run.device.cores},
        },
        "commit_info": {"id": commit.removesuffix("-dirty"), "dirty": commit.endswith("-dirty")},
        "benchmarks": benchmarks,
        "datetime": run.provenance.created,
        "version": "5.1.0",
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


FORMATS: dict[str, Callable[[Run], str]] = {
    "markdown": markdown,
    "csv": _csv,
    "jsonl": _jsonl,
    "github-action-benchmark": _github_costs,
    "github-action-benchmark-quality": _github_quality,
    "pytest-benchmark": _pytest_benchmark,
}
