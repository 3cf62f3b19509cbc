"""How often the gate is wrong: 1,000 seeded runs each, drawn from recorded samples, at the default sample counts.

tests/recorded/gate_samples.json was recorded on two x86-64 cores, busy with other work (a load of 10), with the default
bundle of its day:

accuracy      degradation → dB of 40 crops with all weights rounded to 12 bits, minus dB without: a harmless rebuild
quantized     the same for weights rounded to 8 bits, of two degradations
seconds       rounds of a tile through one bundle three times in turns
"""

import json
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from mimdit.benchmarks.crops import CROPS
from mimdit.benchmarks.gate_latency import ROUNDS, judge_times
from mimdit.benchmarks.gate_rules import Rules
from mimdit.benchmarks.gate_statistics import Interval, judge, mean_interval, mean_intervals

from .source import ROOT

RUNS = 1000
RULES = Rules()
RECORDED = json.loads((ROOT / "tests" / "recorded" / "gate_samples.json").read_text())


def drawn(kind: str, rng: np.random.Generator) -> np.ndarray:
    """f64[runs,degradations,photos]: recorded differences, their mean taken out, drawn anew for each run."""
    recorded = np.array(list(RECORDED[kind].values()))
    recorded = recorded - recorded.mean(1, keepdims=True)
    places = rng.integers(0, recorded.shape[1], (RUNS, len(recorded), CROPS))
    return np.take_along_axis(recorded[None], places, axis=2)


def outcomes(differences: np.ndarray) -> list[str]:
    """[runs,degradations,photos] → the verdict of each run on accuracy, means and worst photos."""
    runs, degradations, photos = differences.shape
    low, middle, high = mean_intervals(differences.reshape(-1, photos))
    words = [judge(Interval(*ends), RULES.accuracy_db) for ends in zip(low, middle, high, strict=True)]
    broken = differences.min((1, 2)) <= -RULES.worst_db
    found = []
    for run in range(runs):
        here = set(words[run * degradations : (run + 1) * degradations]) | ({"regressed"} if broken[run] else set())
        found.append(next(word for word in ("regressed", "inconclusive", "improved", "pass") if word in here))
    return found


def in_turn(loss: float, kind: str = "accuracy") -> np.ndarray:
    """One degradation of each run, each in its turn, loses so much."""
    differences = drawn(kind, np.random.default_rng(1))
    degradation = np.arange(RUNS) % differences.shape[1]
    differences[np.arange(RUNS), degradation] -= loss
    # What the others do was seen in the run where nothing is planted: here only the one that lost is looked at.
    return differences[np.arange(RUNS), degradation][:, None]


def times(factor: float, rounds: int) -> Counter[str]:
    recorded, rng = np.array(RECORDED["seconds"]), np.random.default_rng(2)
    found: Counter[str] = Counter()
    for _ in range(RUNS):
        turn = rng.permuted(recorded[rng.integers(0, len(recorded), rounds)], axis=1)
        new, old, again = (column.tolist() for column in (factor * turn[:, 0], turn[:, 1], turn[:, 2]))
        found[judge_times("a tile", new, old, again, RULES.latency).outcome or ""] += 1
    return found


def test_equals_raise_no_alarm() -> None:
    found = Counter(outcomes(drawn("accuracy", np.random.default_rng(0))))
    assert found["regressed"] + found["improved"] <= 4
    assert found["inconclusive"] <= 20


@pytest.mark.parametrize("kind", ["accuracy", "quantized"])
@pytest.mark.parametrize(("loss", "share"), [(0.15, 0.95), (0.3, 0.996)])
def test_a_loss_in_one_degradation_is_found(kind: str, loss: float, share: float) -> None:
    assert Counter(outcomes(in_turn(loss, kind)))["regressed"] >= share * RUNS


def test_one_broken_photo_in_forty_is_found() -> None:
    differences = in_turn(0)
    differences[:, 0, 17] -= 3
    assert Counter(outcomes(differences))["regressed"] >= 0.99 * RUNS


def test_equal_times_raise_no_alarm_and_five_percent_are_found() -> None:
    equal = times(1.0, ROUNDS)
    assert equal["regressed"] + equal["improved"] <= 4
    assert equal["inconclusive"] <= 20
    assert times(1.05, ROUNDS)["regressed"] >= 0.95 * RUNS


@pytest.mark.parametrize("count", range(1, 8))
def test_too_few_photos_never_pass(count: int) -> None:
    assert judge(mean_interval(np.zeros(count)), RULES.accuracy_db) == "inconclusive"


def test_too_few_rounds_never_pass() -> None:
    same: Sequence[float] = [0.1] * 19
    finding = judge_times("a tile", same, same, same, RULES.latency)
    assert (finding.outcome, finding.needed) == ("inconclusive", 20)
    assert set(times(1.0, 10)) == {"inconclusive"}


def test_figures_do_not_hang_on_the_order_of_summation() -> None:
    """Whole units add up exactly, so a BLAS of another machine gives the same interval to the bit."""
    differences = np.round(np.random.default_rng(0).normal(0, 0.1, 40), 4)
    alone, among = mean_interval(differences), mean_intervals(np.stack([differences] * 300))
    assert alone is not None
    assert {(low, middle, high) for low, middle, high in zip(*among, strict=True)} == {
        (alone.low, alone.middle, alone.high)
    }
