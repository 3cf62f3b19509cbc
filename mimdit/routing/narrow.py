"""Narrowing: a frozen variant keeps only those sub-experts without which it restores worst.

One photo at a time, dynamic routing too runs a single sub-expert a group, so what freezing alone saves in time is the
routers. A variant restores one kind of degradation and does not need every group for it; dynamic routing cannot know
which ones before it has run.
"""

from collections.abc import Callable

import torch

from mimdit.errors import CheckpointError
from mimdit.model.mimdit import MiMDiT
from mimdit.routing.plan import BlockPlan, ExpertPlan, Group, RoutingPlan


def narrow(
    model: MiMDiT, experts: int, loss_of: Callable[[MiMDiT], float], tell: Callable[[str], object] = lambda line: None
) -> MiMDiT:
    """Drop one sub-expert at a time, always the one without which the loss is least, until `experts` are left.

    Each MiM block keeps at least one. Raises CheckpointError for a dynamic model or fewer experts than blocks.
    """
    plan = _plan(model)
    if experts < len(plan.blocks):
        raise CheckpointError(f"{experts} sub-experts are too few: each of the {len(plan.blocks)} MiM blocks keeps one")
    while plan.experts > experts:
        trials = ((loss_of(with_plan(model, fewer)), name, fewer) for name, fewer in _one_fewer(plan))
        loss, name, plan = min(trials, key=lambda trial: trial[0])
        model = with_plan(model, plan)
        tell(f"without {name}: loss {loss:.5f}, {plan.experts} sub-experts left")
    return model


def without_group(model: MiMDiT, group: Group) -> MiMDiT:
    """The frozen model without the sub-experts of a group. Raises CheckpointError for a dynamic model, and where a MiM
    block has no other."""
    plan = _plan(model)
    for number, block in enumerate(plan.blocks):
        kept = tuple(expert for expert in block.experts if expert.group != group)
        if not kept:
            raise CheckpointError(f"MiM block {number} has no sub-experts but those of {group}")
        plan = _with_experts(plan, number, kept)
    return with_plan(model, plan)


def _plan(model: MiMDiT) -> RoutingPlan:
    if model.shape.plan is None:
        raise CheckpointError("routing is not frozen: narrow a variant that `mimdit freeze` made")
    return model.shape.plan


def _one_fewer(plan: RoutingPlan) -> list[tuple[str, RoutingPlan]]:
    """Every plan with one sub-expert less, named by what it lacks, e.g. `1.swin_2`."""
    fewer = []
    for b, block in enumerate(plan.blocks):
        for dropped in block.experts if len(block.experts) > 1 else ():
            kept = tuple(expert for expert in block.experts if expert != dropped)
            fewer.append((f"{b}.{dropped.name}", _with_experts(plan, b, kept)))
    return fewer


def _with_experts(plan: RoutingPlan, number: int, kept: tuple[ExpertPlan, ...]) -> RoutingPlan:
    """The plan whose MiM block of that number has only these sub-experts."""
    block = BlockPlan(**{**plan.blocks[number].model_dump(), "experts": kept})
    return plan.model_copy(update={"blocks": (*plan.blocks[:number], block, *plan.blocks[number + 1 :])})


def with_plan(model: MiMDiT, plan: RoutingPlan) -> MiMDiT:
    """The frozen model with only the sub-experts of a smaller plan, weights unchanged."""
    smaller = MiMDiT.from_preset(model.shape.model_copy(update={"plan": plan}))
    source = model.state_dict()
    smaller.load_state_dict({name: source[name] for name in smaller.state_dict()})
    return smaller.eval()


@torch.no_grad()
def with_depths(model: MiMDiT, depths: tuple[int, int, int]) -> MiMDiT:
    """The network with other numbers of residual blocks in the edge codec's decoder, `depths` as
    `ModelConfig.decoder_depths`: the last ones of a level are dropped, new ones add nothing until they are trained.
    """
    other = MiMDiT.from_preset(model.shape.model_copy(update={"decoder_depths": depths}))
    kept = {name: value for name, value in model.state_dict().items() if name in other.state_dict()}
    for name in other.load_state_dict(kept, strict=False).missing_keys:
        if ".second." in name:  # what a residual block adds
            other.get_parameter(name).zero_()
    return other.eval()
