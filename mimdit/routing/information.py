"""How much routing knows of the degradation: mutual information of kind and sub-expert, and a permutation test."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mimdit.routing.record import RouterStatistics


@dataclass(frozen=True)
class Information:
    """bits f64[M,4]: mutual information of kind and best sub-expert at every MiM block and group.

    chance f64[M,4]: its mean when kinds are shuffled, which few photos alone make positive. p: share of shuffles, the
    real order counted as one, whose total is at least the real one. kinds: their entropy, the most there could be.
    """

    bits: np.ndarray
    chance: np.ndarray
    p: float
    kinds: float


def routing_information(statistics: RouterStatistics, shuffles: int = 999, seed: int = 0) -> Information:
    """Over all photos of the statistics; the same seed gives the same answer."""
    rng = np.random.default_rng(seed)
    kinds = np.unique(np.array(statistics.kinds), return_inverse=True)[1]
    chosen = statistics.chosen[..., 0]  # [N,M,4]: the best of the top-k
    places = chosen.reshape(len(chosen), -1).T  # [M·4,N]
    experts = int(chosen.max()) + 1

    def bits(order: np.ndarray) -> np.ndarray:
        return np.array([_mutual(order, place, experts) for place in places])

    real = bits(kinds)
    shuffled = np.stack([bits(rng.permutation(kinds)) for _ in range(shuffles)])
    at_least = int((shuffled.sum(1) >= real.sum()).sum())
    shares = np.bincount(kinds) / len(kinds)
    return Information(
        bits=real.reshape(chosen.shape[1:]),
        chance=shuffled.mean(0).reshape(chosen.shape[1:]),
        p=(at_least + 1) / (shuffles + 1),
        kinds=float(-(shares * np.log2(shares)).sum()),
    )


def _mutual(kinds: np.ndarray, experts: np.ndarray, count: int) -> float:
    joint = np.bincount(kinds * count + experts, minlength=(kinds.max() + 1) * count).reshape(-1, count) / len(kinds)
    alone = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log2(joint[there] / alone[there])).sum())


def choice_shares(statistics: RouterStatistics, kinds: Sequence[str]) -> np.ndarray:
    """f64[K,M,4,E]: how often photos of each kind chose each sub-expert."""
    experts = statistics.intra.shape[3]
    shares = []
    for kind in kinds:
        chosen = statistics.of([kind]).chosen  # [N,M,4,k]
        shares.append((chosen[..., None] == np.arange(experts)).any(3).mean(0))
    return np.stack(shares)
