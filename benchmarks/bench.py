"""Bundles + photos → a run: latency, accuracy, drift, memory, energy, each measured apart from the others.

In this order: a fresh process for each bundle (loading, memory), graph times in turns, restored photos against their
truths, photo-to-photo times in turns, energy, drift. While something is timed nothing else is measured.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mimdit.benchmarks import conditions
from mimdit.benchmarks.accuracy import evaluate
from mimdit.benchmarks.accuracy_report import Row
from mimdit.benchmarks.datasets import Group
from mimdit.benchmarks.device import this_device
from mimdit.benchmarks.drift import drift, reference_of
from mimdit.benchmarks.factors import factors_of
from mimdit.benchmarks.latency import Timing, noise_inputs, timer_cost, timings
from mimdit.benchmarks.loading import Loading, measure_loading
from mimdit.benchmarks.meters import measure_energy
from mimdit.benchmarks.methods import MATCHED, Method, bundle_method
from mimdit.benchmarks.photo_times import PhotoTimes, photo_times, restore_all
from mimdit.benchmarks.provenance import provenance
from mimdit.benchmarks.roofline import measure_roofs, reached
from mimdit.benchmarks.run_file import ImageResult, Key, Latency, Memory, Result, Run, Samples, Size
from mimdit.runtimes import open_runtime
from mimdit.runtimes.base import Runtime

if TYPE_CHECKING:
    from mimdit.benchmarks.device import Device
    from mimdit.benchmarks.golden import Golden
    from mimdit.bundle import Bundle
    from mimdit.targets import Variant

__all__ = ["Plan", "bench", "steps"]

Advance = Callable[[], object]


@dataclass(frozen=True)
class Plan:
    """What to measure. choice: a variant, matched or auto · provider: which of the runtime's backends, None is its
    usual one · samples: graph times of each bundle · duration: s."""

    choice: str = "auto"
    provider: str | None = None
    threads: int | None = None
    samples: int = 64
    duration: float = 0.0
    seed: int = 0
    roofline: bool = False


@dataclass(frozen=True)
class _Subject:
    """One bundle, opened. `loading` was measured before this process had opened it."""

    bundle: "Bundle"
    variant: "Variant"  # whose graph is timed
    loading: Loading
    runtime: Runtime
    method: Method  # restores its photos; loads each variant once


def bench(
    bundles: Sequence["Bundle"],
    groups: Sequence[Group],
    plan: Plan,
    *,
    command: str,
    golden: "Golden | None" = None,
    advance: Advance = lambda: None,
) -> Run:
    """Raises BundleError where a bundle cannot run here, MimditError for a choice that it does not offer."""
    groups = _restorable(groups, plan)
    device, before = this_device(), conditions.before()
    threads = plan.threads or device.cores
    subjects = [_subject(bundle, plan, threads, advance) for bundle in bundles]
    graphs = _graph_times(subjects, plan, advance)
    methods = [subject.method for subject in subjects]
    # One after the other, and before the photos are timed: this is also what loads each variant that they need.
    reports = [evaluate(groups, [method], command=command, advance=advance) for method in methods]
    photos = photo_times(methods, groups, plan.seed, advance)
    timer, roofs = timer_cost(), measure_roofs(threads) if plan.roofline else None
    results = []
    for i, subject in enumerate(subjects):
        entry = subject.bundle.entry(subject.variant, subject.runtime.tile)
        others = tuple(bundle.manifest.id for j, bundle in enumerate(bundles) if j != i)
        results.append(
            Result(
                name=subject.bundle.path.name,
                key=_key(subject, plan.choice, threads, device),
                factors=factors_of(subject.bundle),
                size=_size(subject.bundle),
                images=_images(reports[i].rows, photos[i]),
                drift=None if golden is None else drift(golden, subject.bundle, threads, plan.provider),
                latency=_latency(subject, graphs[i], others, timer),
                memory=_memory(subject.loading),
                energy=measure_energy(partial(restore_all, subject.method, groups)),
                roofline=None if roofs is None else reached(subject.bundle, entry, graphs[i].seconds, roofs, threads),
            )
        )
    return Run(
        device=device,
        conditions=conditions.after(before),
        provenance=provenance(command, plan.seed),
        reference=None if golden is None else reference_of(golden),
        results=tuple(results),
    )


def steps(bundles: int, groups: Sequence[Group], plan: Plan) -> int:
    """How often `bench` calls `advance`; with a duration there are rounds more that nobody can count."""
    photos = sum(len(group.cases) for group in _restorable(groups, plan))
    return bundles + plan.samples + 2 * photos * bundles


def _restorable(groups: Sequence[Group], plan: Plan) -> list[Group]:
    """Clean photos belong to no variant, so `matched` has none for them."""
    return [group for group in groups if plan.choice != MATCHED or group.variant is not None]


def _subject(bundle: "Bundle", plan: Plan, threads: int, advance: Advance) -> _Subject:
    # Under auto and matched any of them may restore a photo: the most general one stands for them.
    known: dict[str, Variant] = {name: name for name in bundle.variants}
    variant = known.get(plan.choice) or known.get("general") or bundle.variants[0]
    tile = bundle.entry(variant).tile
    loading = measure_loading(bundle, variant, tile, threads, plan.provider)
    advance()
    runtime = open_runtime(bundle, variant, tile=tile, threads=threads, provider=plan.provider)
    method = bundle_method(bundle, [plan.choice], threads, plan.provider, f"{runtime.name}/{runtime.unit}")
    return _Subject(bundle, variant, loading, runtime, method)


def _graph_times(subjects: Sequence[_Subject], plan: Plan, advance: Advance) -> list[Timing]:
    rng = np.random.default_rng(plan.seed)
    calls = []
    for subject in subjects:
        calls.append(partial(subject.runtime.run, *noise_inputs(subject.runtime.tile, rng)))
    return timings(calls, samples=plan.samples, duration=plan.duration, seed=plan.seed, advance=advance)


def _key(subject: _Subject, choice: str, threads: int, device: "Device") -> Key:
    manifest = subject.bundle.manifest
    return Key(
        bundle=manifest.id,
        variant=choice,
        target=manifest.target,
        precision=manifest.precision,
        unit=subject.runtime.unit,
        tile=subject.runtime.tile,
        threads=threads,
        processor=device.processor,
        instruction_set=device.instruction_set,
    )


def _size(bundle: "Bundle") -> Size:
    files = {entry.path: entry.bytes for entry in bundle.manifest.files}
    return Size(bundle_bytes=sum(files.values()), files=files)


def _images(rows: Sequence[Row], times: PhotoTimes) -> tuple[ImageResult, ...]:
    images = []
    for row in rows:
        megapixels, seconds = times.get((row.degradation, row.dataset, row.image, row.variant), (None, ()))
        images.append(
            ImageResult(
                degradation=row.degradation,
                dataset=row.dataset,
                image=row.image,
                megapixels=megapixels,
                used=row.used,
                input_psnr=row.input.psnr,
                psnr=row.restored.psnr,
                ssim=row.restored.ssim,
                flip=row.restored.flip,
                defects=row.defects,
                seconds=seconds,
                error=row.error,
            )
        )
    return tuple(images)


def _latency(subject: _Subject, timing: Timing, others: tuple[str, ...], timer: float) -> Latency:
    return Latency(
        variant=subject.variant,
        graph=Samples.of(timing.seconds, timing.began),
        warmup=timing.warmup,
        steady=timing.steady,
        first_inference=subject.loading.first_inference,
        cold_load=subject.loading.cold_load,
        cache_dropped=subject.loading.cache_dropped,
        warm_load=subject.loading.warm_load,
        interleaved_with=others,
        timer=timer,
    )


def _memory(loading: Loading) -> Memory:
    reason = None if loading.peak_bytes is not None else "this system does not say what a process had resident"
    return Memory(peak_bytes=loading.peak_bytes, megapixels=loading.megapixels, reason=reason)
