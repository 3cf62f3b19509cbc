"""Freezing: router statistics → routing plan → a static variant without routers and without the dropped sub-experts.

In each group the sub-experts that dynamic routing chose most often stay; each keeps, as a constant, the mean weight
that it had when it was chosen: Inter-MoE share × Intra-MoE gate. The constant folds into the sub-expert's last
convolution.
"""

import numpy as np
import torch

from mimdit.errors import CheckpointError
from mimdit.model.mimdit import MiMDiT
from mimdit.routing.plan import GROUPS, BlockPlan, ExpertPlan, RoutingPlan
from mimdit.routing.record import RouterStatistics
from mimdit.targets import Variant


def make_plan(variant: Variant, statistics: RouterStatistics) -> RoutingPlan:
    """The plan of a variant from the statistics of its photos; keeps as many sub-experts a group as top-k runs."""
    if not statistics.kinds:
        raise CheckpointError(f"no photos of {variant} were recorded: a plan needs at least one")
    blocks = range(statistics.inter.shape[1])
    return RoutingPlan(
        variant=variant, photos=len(statistics.kinds), blocks=tuple(_block_plan(statistics, block) for block in blocks)
    )


def _block_plan(statistics: RouterStatistics, block: int) -> BlockPlan:
    inter, intra = statistics.inter[:, block], statistics.intra[:, block]  # [N,4], [N,4,E]
    chosen = statistics.chosen[:, block]  # [N,4,k]
    top_k = chosen.shape[2]
    experts: list[ExpertPlan] = []
    masses: list[float] = []
    agreements: list[float] = []
    for g, group in enumerate(GROUPS):
        counts = np.bincount(chosen[:, g].ravel(), minlength=intra.shape[2])
        kept = np.sort(np.argsort(-counts, kind="stable")[:top_k])
        for expert in kept:
            users = (chosen[:, g] == expert).any(1)
            weights = inter[users, g] * intra[users, g, expert]
            experts.append(ExpertPlan(group=group, expert=int(expert), weight=float(weights.mean())))
        masses.append(float(intra[:, g, kept].sum(1).mean()))
        agreements.append(float(np.isin(chosen[:, g], kept).all(1).mean()))
    mean_inter = inter.mean(0)
    return BlockPlan(
        experts=tuple(experts),
        mass_kept=min(1.0, float(np.mean(masses))),
        entropy=float(-(mean_inter * np.log(mean_inter)).sum()),
        agreement=float(np.mean(agreements)),
    )


@torch.no_grad()
def freeze(model: MiMDiT, plan: RoutingPlan) -> MiMDiT:
    """A static copy of a dynamic model: only the plan's sub-experts exist, constant weights folded in."""
    if model.shape.plan is not None:
        raise CheckpointError("this model is frozen already: freeze the dynamic student that it was made from")
    static = MiMDiT.from_preset(model.shape.model_copy(update={"plan": plan}))
    source = model.state_dict()
    state = {name: source[name] for name in static.state_dict() if name in source}
    for b, block in enumerate(plan.blocks):
        for kept in block.experts:
            old, new = (
                f"branch.blocks.{b}.groups.{kept.group}.{kept.expert}.",
                f"branch.blocks.{b}.experts.{kept.name}.",
            )
            for name, tensor in source.items():
                if name.startswith(old):
                    part = name.removeprefix(old)
                    state[new + part] = tensor * kept.weight if part.startswith("out.") else tensor
    missing = set(static.state_dict()) - set(state)
    if missing:
        raise CheckpointError(f"the plan names sub-experts that the model lacks: {sorted(missing)[0]}")
    static.load_state_dict(state)
    return static.eval()


@torch.no_grad()
def round_to_half(model: MiMDiT) -> MiMDiT:
    """Round all weights to fp16 values, in place, kept as fp32: what ships stores them in half the bytes, exactly."""
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half().to(tensor.dtype))
    return model
