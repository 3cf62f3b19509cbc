"""The gate: what it says of a run, in which words, and that it always says the same."""

from pathlib import Path

import numpy as np
import pytest

from mimdit.benchmarks.baseline import accept
from mimdit.benchmarks.defects import Defects
from mimdit.benchmarks.gate import gate
from mimdit.benchmarks.gate_rules import Rules, load_rules
from mimdit.benchmarks.run_file import DriftResult
from mimdit.benchmarks.verdict import Finding, Verdict
from mimdit.errors import MimditError, NotComparableError

from .gated import BASE, HAZE, NOISE, changed, shifted
from .run_files import a_run


def of(verdict: Verdict, check: str, subject: str) -> Finding:
    return next(f for f in verdict.findings if f.check == check and f.subject == subject)


def test_an_equal_run_passes_and_nothing_is_left_out() -> None:
    verdict = gate(BASE, BASE, Rules())
    assert verdict.outcome == "pass"
    subjects = [(f.check, f.subject) for f in verdict.findings]
    assert subjects == [
        *(("accuracy", f"{group} (made){end}") for group in ("noise", "haze") for end in ("", ", worst photo")),
        ("size", "the bundle"),
        ("latency", "a tile, general"),
        ("memory", "peak"),
    ]


def test_a_loss_in_one_degradation_is_named() -> None:
    verdict = gate(shifted(0.15), BASE, Rules())
    assert verdict.outcome == "regressed"
    assert [f.subject for f in verdict.of("regressed")] == ["noise (made)"]
    finding = of(verdict, "accuracy", "noise (made)")
    assert finding.low is not None
    assert finding.high is not None
    assert finding.low < -0.15 < finding.high < 0
    assert "noise (made)" in verdict.sentence


def test_a_gain_asks_for_a_new_baseline() -> None:
    verdict = gate(shifted(-0.2), BASE, Rules())
    assert verdict.outcome == "improved"
    assert "new baseline" in verdict.sentence


def test_one_broken_photo_is_enough() -> None:
    verdict = gate(shifted(3, {("haze", "photo 7"): HAZE["haze", "photo 7"]}), BASE, Rules())
    assert [f.subject for f in verdict.of("regressed")] == ["haze (made), worst photo"]
    assert of(verdict, "accuracy", "haze (made), worst photo").note == "photo 7"


def test_too_few_photos_are_inconclusive_even_when_equal() -> None:
    few = a_run(dict(list(NOISE.items())[:7]))
    verdict = gate(few, few, Rules(), ["accuracy"])
    assert verdict.outcome == "inconclusive"
    assert "8 samples" in verdict.sentence


def test_scattered_photos_are_inconclusive_and_say_how_many_it_takes() -> None:
    verdict = gate(shifted(0.05, scatter=0.3), BASE, Rules(), ["accuracy"])
    assert verdict.outcome == "inconclusive"
    finding = of(verdict, "accuracy", "noise (made)")
    assert finding.needed is not None
    assert 40 < finding.needed < 4000


def test_nothing_to_gate_is_no_pass() -> None:
    assert gate(BASE, BASE, Rules(), ["drift"]).outcome == "inconclusive"


def test_another_instruction_set_may_differ_by_a_hundredth() -> None:
    key = BASE.results[0].key.model_copy(update={"instruction_set": ("neon",), "processor": "another"})
    tight = Rules(accuracy_db=0.005)
    moved = shifted(0.009, scatter=0.0005)
    assert gate(moved, BASE, tight, ["accuracy"]).outcome == "regressed"
    assert gate(changed(moved, key=key), BASE, tight, ["accuracy"]).outcome == "inconclusive"


def test_times_and_memory_of_another_machine_are_reported_not_gated() -> None:
    slow = a_run({**NOISE, **HAZE}, seconds=[0.2 + 0.001 * (i % 7) for i in range(64)])
    assert [f.check for f in gate(slow, BASE, Rules()).of("regressed")] == ["latency"]
    key = slow.results[0].key.model_copy(update={"processor": "another"})
    verdict = gate(changed(slow, key=key), BASE, Rules())
    assert verdict.outcome == "pass"
    assert [f.check for f in verdict.of(None)] == ["latency", "memory"]
    assert "another processor" in verdict.of(None)[0].note


def test_times_of_a_busy_machine_or_of_wide_intervals_are_not_gated() -> None:
    slow = a_run({**NOISE, **HAZE}, seconds=[0.2 + 0.001 * (i % 7) for i in range(64)])
    busy = slow.conditions.model_copy(update={"load_before": 9.0})
    for run, words in (
        (slow.model_copy(update={"conditions": busy}), "a load of 9.0 on 2 cores"),
        (a_run({**NOISE, **HAZE}, seconds=[0.09 + 0.01 * (i % 4) for i in range(64)]), "do not show 3%: use --against"),
    ):
        verdict = gate(run, BASE, Rules())
        assert verdict.outcome == "pass"
        assert words in of(verdict, "latency", "a tile, general").note


def test_an_invalid_run_has_no_times() -> None:
    slow = a_run({**NOISE, **HAZE}, seconds=[0.2] * 64)
    conditions = slow.conditions.model_copy(update={"invalid": "power mode 15W, expected MAXN"})
    verdict = gate(slow.model_copy(update={"conditions": conditions}), BASE, Rules())
    assert verdict.outcome == "pass"
    assert of(verdict, "latency", "a tile, general").note == "power mode 15W, expected MAXN"
    against = gate(slow, BASE.model_copy(update={"conditions": conditions}), Rules())
    assert against.outcome == "pass"
    assert "the baseline is invalid" in of(against, "latency", "a tile, general").note
    with pytest.raises(MimditError, match="the run is invalid"):
        accept(slow.model_copy(update={"conditions": conditions}), "?", "2026-01-01")


@pytest.mark.parametrize(("share", "outcome"), [(1.02, "regressed"), (1.0, "pass"), (0.9, "improved")])
def test_size_is_exact(share: float, outcome: str) -> None:
    size = BASE.results[0].size.model_copy(update={"bundle_bytes": int(1000 * share), "files": {"model.onnx": 1}})
    assert gate(changed(BASE, size=size), BASE, Rules(), ["size"]).outcome == outcome


def test_drift_counts_the_photo_that_moved_most() -> None:
    def drift(*agreements: float) -> tuple[DriftResult, ...]:
        rows = enumerate(agreements)
        return tuple(
            DriftResult(degradation="rain", image=str(i), agreement=a, max_levels=3, lost=0.0) for i, a in rows
        )

    before = changed(BASE, drift=drift(60, 100))
    assert gate(before, before, Rules(), ["drift"]).outcome == "pass"
    verdict = gate(changed(BASE, drift=drift(60, 45)), before, Rules(), ["drift"])
    assert verdict.outcome == "regressed"
    assert verdict.findings[0].note == "1"


def test_a_run_of_other_photos_is_not_comparable() -> None:
    with pytest.raises(NotComparableError, match=r"40 of the baseline's 80 photos .* first haze made photo 0"):
        gate(a_run(NOISE), BASE, Rules())
    images = tuple(image.model_copy(update={"input_psnr": 25.0}) for image in BASE.results[0].images)
    with pytest.raises(NotComparableError, match="another than the baseline's"):
        gate(changed(BASE, images=images), BASE, Rules())


def test_twenty_small_losses_are_stopped_by_the_sixth() -> None:
    """Each release is 0.05 dB worse, passes, and becomes the baseline: until the anchor holds."""
    rng = np.random.default_rng(0)
    level = dict(NOISE)
    baseline = accept(a_run(level), "first", "2026-01-01")
    for release in range(1, 21):
        level = {name: db - 0.05 + rng.normal(0, 0.02) for name, db in level.items()}
        verdict = gate(a_run(level), baseline, Rules(), ["accuracy"])
        if verdict.outcome == "regressed":
            assert 4 <= release <= 6
            assert [f.subject for f in verdict.of("regressed")] == ["noise (made), against the anchor"]
            return
        assert verdict.outcome == "pass"
        baseline = accept(a_run(level), "a release", "2026-01-02", baseline)
    pytest.fail("twenty releases passed")


def test_the_anchor_follows_gains_degradation_by_degradation() -> None:
    first = accept(BASE, "first", "2026-01-01")
    better = accept(shifted(-1, NOISE, 0), "noise", "2026-01-02", first)
    worse = accept(shifted(0.3, {**NOISE, **HAZE}, 0), "accepted", "2026-01-03", better)
    assert worse.accepted is not None
    anchor = {(image.degradation, image.image): image.psnr for image in worse.accepted.anchor}
    assert anchor == {**{k: v + 1 for k, v in NOISE.items()}, **HAZE}


def test_a_failed_run_is_no_baseline() -> None:
    broken = BASE.results[0].images[0].model_copy(update={"psnr": None, "error": "NaN"})
    with pytest.raises(MimditError, match="without failures"):
        accept(changed(BASE, images=(broken,)), "?", "2026-01-01")


def defect(**figures: object) -> Defects:
    none = {"black_blocks": 0, "cast": 1.0, "input_cast": 1.0, "seam": 1.0, "input_seam": 1.0, "patch": 2.0}
    return Defects.model_validate({**none, **figures})


@pytest.mark.parametrize(
    ("figures", "words", "stage"),
    [
        ({"black_blocks": 2}, "2 black blocks", "run"),
        ({"swapped": True, "cast": 30.0}, "red and blue are exchanged", "colour"),
        ({"displaced_blocks": 3}, "3 blocks lie one pixel off", "tile"),
        ({"seam": 4.5}, "seam of 4.5 levels, was 1.0", "tile"),
        ({"patch": 6.0}, "brightness patch of 6.0 levels", "tile"),
        ({"cast": 5.0}, "colour cast of 5.0 levels", None),
    ],
)
def test_a_defect_that_the_baseline_had_not_is_named_with_its_stage(figures, words: str, stage: str | None) -> None:
    first, *others = BASE.results[0].images
    before = changed(BASE, images=(first.model_copy(update={"defects": defect()}), *others))
    now = changed(BASE, images=(first.model_copy(update={"defects": defect(**figures)}), *others))
    finding = gate(now, before, Rules()).of("regressed")[0]
    assert (finding.check, finding.stage) == ("defects", stage)
    assert words in finding.note
    assert gate(now, now, Rules()).outcome == "pass"


def test_rules_come_from_toml_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text("accuracy_db = 0.5\n")
    assert load_rules(path) == Rules(accuracy_db=0.5)
    path.write_text("accuracy = 0.5\n")
    with pytest.raises(MimditError, match="the keys are accuracy_db, anchor_db"):
        load_rules(path)
    path.write_text("accuracy_db = [")
    with pytest.raises(MimditError, match="no TOML"):
        load_rules(path)
