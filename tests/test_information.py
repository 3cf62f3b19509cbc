"""Mutual information: known by heart for routing that follows the degradation, and none for routing that ignores it."""

import numpy as np
import pytest

from mimdit.routing.information import choice_shares, routing_information
from mimdit.routing.record import RouterStatistics


def statistics(chosen: np.ndarray, kinds: list[str]) -> RouterStatistics:
    """Decisions of one block in which all groups choose alike."""
    count = len(kinds)
    best = np.broadcast_to(chosen[:, None, None, None], (count, 1, 4, 1))
    return RouterStatistics(np.full((count, 1, 4), 0.25), np.full((count, 1, 4, 3), 1 / 3), best, tuple(kinds))


def test_routing_that_follows_the_degradation_knows_all_of_it() -> None:
    kinds = ["noise", "haze"] * 20
    known = routing_information(statistics(np.array([0, 2] * 20), kinds), shuffles=99)
    assert known.bits == pytest.approx(np.ones((1, 4)))
    assert known.kinds == pytest.approx(1)
    assert known.p == 0.01
    assert (known.chance < 0.1).all()


def test_routing_that_ignores_the_degradation_knows_nothing() -> None:
    chosen = np.random.default_rng(0).integers(0, 3, 400)
    known = routing_information(statistics(chosen, ["noise", "haze"] * 200), shuffles=99)
    assert (known.bits < 0.02).all()
    assert known.p > 0.05


def test_choice_shares_count_photos_of_a_kind() -> None:
    shares = choice_shares(statistics(np.array([0, 2, 2, 2]), ["haze", "haze", "noise", "noise"]), ["haze", "noise"])
    assert shares[0, 0, 0].tolist() == [0.5, 0, 0.5]
    assert shares[1, 0, 3].tolist() == [0, 0, 1]
