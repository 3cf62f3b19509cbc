"""`mimdit bench`: what is told apart, kept and said, on a bundle whose variants return their tile."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mimdit.benchmarks import latency
from mimdit.benchmarks.accuracy import evaluate
from mimdit.benchmarks.bench import Plan, bench, steps
from mimdit.benchmarks.datasets import example_groups, folder_groups
from mimdit.benchmarks.headline import CUDA_NOT_MEASURED, TITLE, headline
from mimdit.benchmarks.loading import measure_loading
from mimdit.benchmarks.methods import bundle_method
from mimdit.benchmarks.run_file import Run, Samples, read_run
from mimdit.benchmarks.run_tables import markdown, tables
from mimdit.benchmarks.statistics import median_interval
from mimdit.benchmarks.sustained import sustained
from mimdit.bundle import open_bundle
from mimdit.errors import MimditError
from mimdit.metrics import psnr


@pytest.fixture
def photos(tmp_path: Path) -> tuple[Path, Path]:
    """(degraded, truths): two photos of equal names."""
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        truth = rng.integers(60, 200, (80, 96, 3), dtype=np.uint8)
        noisy = np.clip(truth + rng.normal(0, 20, truth.shape), 0, 255).astype(np.uint8)
        for folder, pixels in (("in", noisy), ("truth", truth)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / folder / name)
    return tmp_path / "in", tmp_path / "truth"


def test_a_run_holds_every_sample_and_each_photo_s_psnr(small: Path, photos: tuple[Path, Path]) -> None:
    groups = folder_groups(*photos)
    plan, calls = Plan(choice="general", threads=1, samples=7), []
    bundles = [open_bundle(small), open_bundle(small)]
    run = bench(bundles, groups, plan, command="test", advance=lambda: calls.append(0))
    assert len(calls) == steps(2, groups, plan)
    assert Run.model_validate_json(run.model_dump_json()) == run
    assert len(run.results) == 2
    for result in run.results:
        assert result.latency is not None
        assert result.memory is not None
        assert len(result.latency.graph.seconds) == 7
        assert result.latency.graph.median_interval is not None
        assert result.latency.graph.p90 is None
        assert result.latency.interleaved_with == (bundles[0].manifest.id,)
        assert result.latency.timer < 1e-4
        assert [image.image for image in result.images] == ["a.png", "b.png"]
        for image in result.images:
            assert image.psnr == image.input_psnr  # an identity
            assert len(image.seconds) == 1
        assert {energy.meter for energy in result.energy} == {"rapl", "nvml", "jetson", "powermetrics", "android"}
        assert all((energy.joules is None) == (energy.reason is not None) for energy in result.energy)


def test_the_command_prints_json_and_writes_the_same(
    run, small: Path, photos: tuple[Path, Path], tmp_path: Path
) -> None:
    inputs, truth = photos
    options = ("--photos", inputs, "--truth", truth, "--samples", 2, "--threads", 1, "--variant", "general")
    options += ("--provider", "cpu")
    shown = run("bench", small, *options, "--json", "-o", tmp_path / "r.json")
    assert shown.code == 0, shown.err
    measured = json.loads(shown.out)
    assert Run.model_validate(measured) == read_run(tmp_path / "r.json")
    assert measured["results"][0]["key"]["unit"] == "cpu"
    for image in measured["results"][0]["images"]:
        a, b = (np.asarray(Image.open(folder / image["image"])) / 255 for folder in (inputs, truth))
        assert image["psnr"] == pytest.approx(psnr(a, b), abs=1e-3)
    again = run("bench", small, *options, "-o", tmp_path / "r.json")
    assert again.code == 2
    assert "--overwrite" in again.err


def test_a_photo_that_another_unit_restored_is_no_figure_of_this_one(small: Path, photos: tuple[Path, Path]) -> None:
    method = bundle_method(open_bundle(small), ["denoise"], threads=1, only_on="onnx/ane")
    rows = evaluate(folder_groups(*photos), [method], command="test").rows
    assert {row.error for row in rows} == {"was restored on onnx/cpu in place of onnx/ane, which is what is measured"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--duration", "5 days"), "write for example 90s or 30m"),
        (("--truth", "x"), "--truth belongs to --photos"),
        (("--variant", "dehaze"), "choose from"),
        (("--provider", "toaster", "--variant", "denoise"), "no provider 'toaster' here: choose one of"),
    ],
)
def test_wrong_options_are_one_line(run, options: tuple[str, ...], says: str, small: Path) -> None:
    shown = run("bench", small, *options)
    assert shown.code == 2
    assert says in shown.err


def test_a_fresh_process_measures_loading_and_memory(small: Path) -> None:
    loading = measure_loading(open_bundle(small), "denoise", 64, 1)
    assert min(loading.cold_load, loading.warm_load, loading.first_inference) > 0
    assert loading.peak_bytes is None or 20e6 < loading.peak_bytes < 1e9


def test_tables_begin_with_the_device_against_the_reference(small: Path) -> None:
    plan = Plan(choice="denoise", samples=1, threads=1)
    run = bench([open_bundle(small)], example_groups()[:1], plan, command="test")
    assert tables(run)[0].title == TITLE
    assert CUDA_NOT_MEASURED in headline(run, run.results[0]).sentence()
    text = markdown(run)
    assert text.startswith(f"# Run\n\n| {TITLE} |")
    for table in tables(run):
        assert f"## {table.title}" in text or table.title == TITLE
        assert all(len(row) == len(table.columns) for row in table.rows)


class _Clock:
    """Stands in for time.perf_counter: each call of `work` takes the next of its durations."""

    def __init__(self, durations: Iterator[float]):
        self.now, self._durations = 0.0, durations

    def perf_counter(self) -> float:
        return self.now

    def work(self) -> None:
        self.now += next(self._durations)


def test_warm_up_ends_when_times_have_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _Clock(iter([0.5, 0.4, 0.3, 0.2, 0.15] + [0.1] * 100))
    monkeypatch.setattr(latency, "time", clock)
    times, steady = latency.warm_up(clock.work)
    assert steady
    assert len(times) == 13  # eight of 0.1 s: the median of the early five is 0.1 as well
    restless = _Clock(1.5**i for i in range(1000))
    monkeypatch.setattr(latency, "time", restless)
    times, steady = latency.warm_up(restless.work)
    assert (len(times), steady) == (60, False)


def test_bundles_take_turns_in_every_round() -> None:
    order: list[int] = []
    found = latency.timings([lambda: order.append(0), lambda: order.append(1)], samples=50)
    turns = order[-100:]
    assert all(set(turns[i : i + 2]) == {0, 1} for i in range(0, 100, 2))
    assert len({tuple(turns[i : i + 2]) for i in range(0, 100, 2)}) == 2
    assert [len(timing.seconds) for timing in found] == [50, 50]


def test_a_duration_goes_on_after_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _Clock(iter([0.5] * 1000))
    monkeypatch.setattr(latency, "time", clock)
    assert len(latency.timings([clock.work], samples=3, duration=60)[0].seconds) == 120


@pytest.mark.parametrize("count", [6, 7, 20, 64, 662])
def test_the_interval_covers_the_median_in_95_of_100(count: int) -> None:
    """A skewed distribution whose median is 1; two standard deviations of 1,000 simulations are 1.4 %."""
    rng = np.random.default_rng(count)
    intervals = [median_interval(rng.lognormal(0, 0.3, count).tolist()) for _ in range(1000)]
    covered = sum(found is not None and found[0] <= 1 <= found[1] for found in intervals)
    assert 930 <= covered <= 970


def test_five_samples_have_no_interval() -> None:
    assert median_interval([1.0] * 5) is None


def test_the_sustained_curve_finds_where_throttling_begins() -> None:
    began = [0.5 * i for i in range(600)]  # five minutes
    hot = sustained(Samples.of([0.1 if t < 120 else 0.13 for t in began], began))
    assert hot is not None
    assert (len(hot.minutes), hot.throttled_at) == (5, 3)
    assert hot.slowdown == pytest.approx(1.3)
    cool = sustained(Samples.of([0.1] * 600, began))
    assert cool is not None
    assert cool.throttled_at is None
    assert sustained(Samples.of([0.1] * 100, began[:100])) is None


def test_nothing_to_restore_is_an_error(small: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(MimditError, match="found none"):
        folder_groups(tmp_path / "none", None)


def test_loadgen_asks_and_writes_its_own_logs(small: Path, photos: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("mlperf_loadgen")
    from mimdit.benchmarks.loadgen import SCENARIOS, run_loadgen

    bundle, groups = open_bundle(small), folder_groups(*photos)
    run_loadgen(bundle, groups, tmp_path / "logs", choice="denoise", threads=1, queries=3)
    for scenario in SCENARIOS:
        summary = (tmp_path / "logs" / scenario / "mlperf_log_summary.txt").read_text()
        assert scenario.lower() in summary.replace(" ", "").lower()
