"""The routing plan: which sub-experts of each MiM block stay, and with what constant weight.

A plan is JSON that a person can read and a pull request can diff. It is made by `mimdit.routing.freeze`
from router statistics and consumed by the static model; it stands in every bundle's manifest.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mimdit.targets import Variant

Group = Literal["spatial", "channel", "swin", "squeeze"]
GROUPS: tuple[Group, ...] = ("spatial", "channel", "swin", "squeeze")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExpertPlan(_Frozen):
    """One sub-expert that stays; `weight` is its constant factor: Inter-MoE share × Intra-MoE gate."""

    group: Group
    expert: int = Field(ge=0)
    weight: float = Field(gt=0, le=1)

    @property
    def name(self) -> str:
        """What the sub-expert is called inside a frozen network and the files made from it, e.g. `swin_2`."""
        return f"{self.group}_{self.expert}"


class BlockPlan(_Frozen):
    """The sub-experts of one MiM block, with what was measured when it was frozen, before any narrowing."""

    experts: tuple[ExpertPlan, ...] = Field(min_length=1)
    mass_kept: float = Field(
        ge=0, le=1, description="mean share of the Intra-MoE gate mass that the kept sub-experts had"
    )
    entropy: float = Field(ge=0, description="entropy of the mean Inter-MoE weights, in nats (at most ln 4)")
    agreement: float = Field(ge=0, le=1, description="share of (photo, group) choices that dynamic routing made alike")

    @model_validator(mode="after")
    def _each_expert_once(self) -> "BlockPlan":
        keys = [(e.group, e.expert) for e in self.experts]
        if len(set(keys)) != len(keys):
            raise ValueError(f"a sub-expert is listed twice in one block: {keys}")
        return self


class RoutingPlan(_Frozen):
    """One variant's frozen routing over all MiM blocks."""

    schema_version: Literal[1] = 1
    variant: Variant
    photos: int = Field(ge=1, description="photos that the router statistics were taken over")
    blocks: tuple[BlockPlan, ...] = Field(min_length=1)

    @property
    def experts(self) -> int:
        """How many sub-experts stay, over all blocks."""
        return sum(len(block.experts) for block in self.blocks)
