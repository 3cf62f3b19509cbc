"""This project's own gate: the embedded bundle held to a committed baseline, which docs/ci.md says how to record."""

import pytest

from mimdit.benchmarks.gate_bundles import Photos, gate_bundle
from mimdit.benchmarks.gate_rules import Rules
from mimdit.benchmarks.gate_table import markdown
from mimdit.benchmarks.golden import open_golden
from mimdit.benchmarks.run_file import Run, read_run
from mimdit.bundle import Bundle, open_bundle

from .source import ROOT

BASELINES = ROOT / "tests" / "baselines"
GOLDEN = BASELINES / "golden"


@pytest.fixture(scope="module")
def baseline() -> Run:
    return read_run(BASELINES / "default.json")


def test_the_baseline_was_recorded_with_what_the_gate_needs(baseline: Run) -> None:
    assert baseline.accepted is not None
    degradations = {image.degradation for image in baseline.results[0].images}
    assert len(degradations) == 7
    assert (baseline.results[0].drift is not None) == GOLDEN.is_dir()


def test_the_embedded_bundle_is_no_worse_than_its_baseline(baseline: Run) -> None:
    bundle: Bundle = open_bundle()
    checks = ("accuracy", "drift", "size", "defects", "contents")
    photos = Photos(golden=open_golden(GOLDEN) if GOLDEN.is_dir() else None)
    gated = gate_bundle(bundle, baseline, Rules(), checks, photos, command="pytest", threads=None)
    assert gated.verdict.outcome in ("pass", "improved"), markdown(gated.verdict)
