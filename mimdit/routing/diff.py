"""Two routing plans side by side: which sub-experts each keeps, place by place."""

from dataclasses import dataclass

from mimdit.errors import MimditError
from mimdit.routing.plan import GROUPS, BlockPlan, Group, RoutingPlan

__all__ = ["Place", "plan_places", "shared"]


@dataclass(frozen=True)
class Place:
    """One group of one MiM block: the kept sub-experts and their constant weights, of two plans."""

    block: int
    group: Group
    first: dict[int, float]
    second: dict[int, float]

    @property
    def same(self) -> bool:
        """Whether both keep the same sub-experts, whatever their weights."""
        return self.first.keys() == self.second.keys()


def plan_places(first: RoutingPlan, second: RoutingPlan) -> list[Place]:
    """Every block and group, in order. Raises MimditError for plans of networks of different depth."""
    if len(first.blocks) != len(second.blocks):
        raise MimditError(
            f"the plans are of different networks: {len(first.blocks)} MiM blocks and {len(second.blocks)}"
        )
    return [
        Place(b, group, _kept(one, group), _kept(other, group))
        for b, (one, other) in enumerate(zip(first.blocks, second.blocks, strict=True))
        for group in GROUPS
    ]


def shared(places: list[Place]) -> float:
    """Share of places at which both plans keep the same sub-experts, 0..1."""
    return sum(place.same for place in places) / len(places)


def _kept(block: BlockPlan, group: Group) -> dict[int, float]:
    return {kept.expert: kept.weight for kept in block.experts if kept.group == group}
