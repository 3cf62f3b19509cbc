"""What freezing costs and saves, per degradation, and four ways to do it.

most frequent   in each group the sub-expert that dynamic routing chose most often, with its mean weight
mean gates      all sub-experts, each with its mean weight over the photos, 0 where it was not chosen
merged          one sub-expert a group, its parameters the mean of all three's, weighed by how often each was chosen;
                tensors whose shapes differ between sub-experts are the most frequent one's
briefly tuned   the most frequent ones, then some hundred steps of training (`mimdit.benchmarks.brief_tuning`)

All but the last are on the student's weights without any tuning. Beside them stands what thousands of steps made of a
variant.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from mimdit.benchmarks.ablations import decibels, of_kinds, whole
from mimdit.benchmarks.latency import timings
from mimdit.model.mimdit import MiMDiT
from mimdit.routing.freeze import freeze
from mimdit.routing.plan import GROUPS, BlockPlan, ExpertPlan, RoutingPlan
from mimdit.routing.record import RouterStatistics
from mimdit.train.data import Batch

__all__ = ["Frozen", "Saved", "freeze_ways", "mean_gates", "merge", "saved"]

_HALF = 2  # bytes of a weight as it ships


@dataclass(frozen=True)
class Frozen:
    """PSNR in dB of one degradation: dynamic routing, and each way to freeze the variant that belongs to it."""

    kind: str
    dynamic: float
    most_frequent: float
    mean_gates: float
    merged: float
    briefly_tuned: float
    long_tuned: float

    @property
    def frozen(self) -> tuple[float, ...]:
        """Every way, in order."""
        return self.most_frequent, self.mean_gates, self.merged, self.briefly_tuned, self.long_tuned


@dataclass(frozen=True)
class Saved:
    """Per network: MB of weights in fp16, ms of a tile in eager PyTorch, whole and in the MiM branch alone."""

    megabytes: tuple[float, ...]
    whole_ms: tuple[float, ...]
    branch_ms: tuple[float, ...]


def mean_gates(plan: RoutingPlan, statistics: RouterStatistics) -> RoutingPlan:
    """Every sub-expert that was ever chosen, its weight the mean over all photos, 0 where it was not chosen."""
    blocks = []
    for b, block in enumerate(plan.blocks):
        chosen = statistics.chosen[:, b]  # [N,4,k]
        experts = []
        for g, group in enumerate(GROUPS):
            for e in range(statistics.intra.shape[3]):
                used = (chosen[:, g] == e).any(1)
                weight = float((statistics.inter[:, b, g] * statistics.intra[:, b, g, e] * used).mean())
                if weight > 0:
                    experts.append(ExpertPlan(group=group, expert=e, weight=weight))
        blocks.append(BlockPlan(**{**block.model_dump(), "experts": tuple(experts)}))
    return plan.model_copy(update={"blocks": tuple(blocks)})


@torch.no_grad()
def merge(model: MiMDiT, plan: RoutingPlan, statistics: RouterStatistics) -> MiMDiT:
    """The plan's network, each kept sub-expert's parameters averaged with its neighbours', by their shares of use."""
    state = model.state_dict()
    static = freeze(model, plan)
    for b, block in enumerate(plan.blocks):
        for kept in block.experts:
            chosen = statistics.chosen[:, b, GROUPS.index(kept.group)].ravel()
            shares = np.bincount(chosen, minlength=statistics.intra.shape[3]) / len(chosen)
            for name, tensor in static.branch.blocks[b].experts[kept.name].named_parameters():  # pyright: ignore
                each = [state[f"branch.blocks.{b}.groups.{kept.group}.{e}.{name}"] for e in range(len(shares))]
                if any(other.shape != tensor.shape for other in each):
                    continue
                mean = torch.stack([share * other for share, other in zip(shares, each, strict=True)]).sum(0)
                tensor.copy_(mean * kept.weight if name.startswith("out.") else mean)
    return static


def freeze_ways(
    student: MiMDiT,
    plan: RoutingPlan,
    tuned: tuple[MiMDiT, MiMDiT],
    statistics: RouterStatistics,
    kinds: Sequence[str],
    examples: Sequence[Batch],
) -> list[Frozen]:
    """One row for each of the variant's degradations. `statistics` are of photos with these alone, as `plan` is.

    `tuned`: the frozen student after brief tuning, and the variant after long.
    """
    models = (
        student,
        freeze(student, plan),
        freeze(student, mean_gates(plan, statistics)),
        merge(student, plan, statistics),
        *tuned,
    )
    found = [decibels(model.eval(), of_kinds(examples, kinds)) for model in models]
    return [Frozen(kind, *(column[kind] for column in found)) for kind in kinds]


def saved(models: Sequence[MiMDiT], example: Batch, samples: int) -> Saved:
    """Times in turns, medians; a dynamic network too computes only the sub-experts that it chose."""
    image, photo = example.image[:1], example.photo[:1]
    one = Batch(image, image, photo, example.families[:1], example.kinds[:1])

    def branch(model: MiMDiT, latent: torch.Tensor) -> object:
        return model.guide(image, latent, photo)

    with torch.inference_mode():
        calls = [partial(whole, model, one) for model in models]
        calls += [partial(branch, model, model.codec.encode(image)[0]) for model in models]
        medians = [1e3 * float(np.median(timing.seconds)) for timing in timings(calls, samples=samples)]
    sizes = [_HALF * sum(p.numel() for p in model.parameters()) / 1e6 for model in models]
    return Saved(tuple(sizes), tuple(medians[: len(models)]), tuple(medians[len(models) :]))
