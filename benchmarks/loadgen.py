"""MLPerf LoadGen asks for photos instead of us: SingleStream (one after the other) and Offline (all at once).

LoadGen keeps its own time and writes its own logs (mlperf_log_summary.txt, mlperf_log_detail.txt), for those who must
show figures by MLPerf's rules. Extra `loadgen`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimdit.benchmarks.datasets import Group
from mimdit.benchmarks.methods import bundle_method
from mimdit.errors import MimditError, MissingPackageError

if TYPE_CHECKING:
    from mimdit.bundle import Bundle

__all__ = ["SCENARIOS", "run_loadgen"]

SCENARIOS = ("SingleStream", "Offline")


def run_loadgen(
    bundle: "Bundle",
    groups: Sequence[Group],
    folder: Path,
    *,
    choice: str,
    threads: int | None,
    provider: str | None = None,
    queries: int,
    tell: Callable[[str], object] = lambda line: None,
) -> None:
    """Both scenarios, logs in folder/SCENARIO/. queries: photos that each asks for at least.

    Raises MissingPackageError without LoadGen, MimditError where it calls its own run invalid.
    """
    try:
        import mlperf_loadgen
    except ModuleNotFoundError:
        raise MissingPackageError("mlcommons-loadgen", "loadgen") from None
    method = bundle_method(bundle, [choice], threads, provider)
    pairs = [(attempt, case) for group in groups for attempt in method.attempts(group)[:1] for case in group.cases]
    photos = [(attempt, case.load().input) for attempt, case in pairs]
    for attempt, photo in photos:  # loads each variant before the clock runs
        attempt.restore(photo)
    for scenario in SCENARIOS:
        _run(mlperf_loadgen, scenario, photos, queries, folder / scenario)
        tell(f"LoadGen {scenario}: {folder / scenario / 'mlperf_log_summary.txt'}")


def _run(loadgen: Any, scenario: str, photos: Sequence[Any], queries: int, folder: Path) -> None:
    settings = loadgen.TestSettings()
    settings.scenario = getattr(loadgen.TestScenario, scenario)
    settings.mode = loadgen.TestMode.PerformanceOnly
    settings.min_duration_ms = 0
    settings.min_query_count = queries
    settings.offline_expected_qps = 1.0
    logs = loadgen.LogSettings()
    folder.mkdir(parents=True, exist_ok=True)
    logs.log_output.outdir = str(folder)
    logs.log_output.copy_summary_to_stdout = False
    failures: list[Exception] = []

    def issue(samples: Sequence[Any]) -> None:
        for sample in samples:
            attempt, photo = photos[sample.index]
            try:
                attempt.restore(photo)
            except MimditError as error:
                failures.append(error)
            loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(sample.id, 0, 0)])

    system = loadgen.ConstructSUT(issue, lambda: None)
    library = loadgen.ConstructQSL(len(photos), len(photos), lambda indices: None, lambda indices: None)
    try:
        loadgen.StartTestWithLogSettings(system, library, settings, logs)
    finally:
        loadgen.DestroyQSL(library)
        loadgen.DestroySUT(system)
    if failures:
        raise MimditError(f"LoadGen {scenario}: {len(failures)} photos failed; the first: {failures[0]}")
