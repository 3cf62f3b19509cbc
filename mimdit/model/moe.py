"""A mixture of experts inside a mixture of experts: Inter-MoE over four groups, Intra-MoE over their sub-experts.

`MiMBlock` routes dynamically: Inter-MoE weighs all four groups by a softmax (dense), Intra-MoE runs only the top-k
sub-experts of each group (sparse), both once per photo tile. `StaticMiMBlock` is what a routing plan leaves of it.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mimdit.model.experts import make_expert
from mimdit.model.statistics import COUNT
from mimdit.routing.plan import GROUPS, BlockPlan


@dataclass
class Routing:
    """What one MiM block decided for a batch. `chosen` holds sub-expert indices, best first."""

    inter: Tensor  # f32[B,4], sums to 1 over groups
    intra: Tensor  # f32[B,4,E], sums to 1 over sub-experts
    chosen: Tensor  # i64[B,4,k]


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of f32[B,C,h,w]."""

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Router(nn.Module):
    """The routing view f32[B,V] → weights of the groups and of the sub-experts in each."""

    def __init__(self, view: int, hidden: int, experts: int):
        super().__init__()
        self.experts = experts
        self.hidden = nn.Linear(view, hidden)
        self.score = nn.Linear(hidden, len(GROUPS) * (1 + experts))

    def forward(self, view: Tensor) -> tuple[Tensor, Tensor]:  # [B,V]
        scores = self.score(F.relu(self.hidden(view.to(self.hidden.weight.dtype)))).float()
        inter, intra = scores.split([len(GROUPS), len(GROUPS) * self.experts], 1)
        return inter.softmax(1), intra.unflatten(1, (len(GROUPS), self.experts)).softmax(2)


class MiMBlock(nn.Module):
    """x + Σ_group inter · Σ_top-k intra · sub-expert(norm(x)), with dynamic routing."""

    def __init__(self, channels: int, hidden: int, experts: int, top_k: int, shifted: bool):
        super().__init__()
        self.top_k = top_k
        self.norm = ChannelNorm(channels)
        self.router = Router(COUNT, channels, experts)
        self.groups = nn.ModuleDict(
            {
                group: nn.ModuleList([make_expert(group, i, channels, hidden, shifted) for i in range(experts)])
                for group in GROUPS
            }
        )

    def forward(self, x: Tensor, view: Tensor, forced: Tensor | None = None) -> tuple[Tensor, Routing]:
        """`forced`: see `route`."""
        normed = self.norm(x)
        routing = self.route(view, forced)
        for g, group in enumerate(GROUPS):
            for e, expert in enumerate(self.groups[group]):  # pyright: ignore[reportArgumentType]
                rows = (routing.chosen[:, g] == e).any(1).nonzero().squeeze(1)
                if rows.numel():  # only the photos that chose this sub-expert pay for it
                    weight = (routing.inter[rows, g] * routing.intra[rows, g, e]).to(x.dtype)
                    x = x.index_add(0, rows, (expert(normed[rows]) * weight[:, None, None, None]).to(x.dtype))
        return x, routing

    def route(self, view: Tensor, forced: Tensor | None = None) -> Routing:
        """`forced` i64[B,4] overrides the best sub-expert of a group where it is not negative (router warm-up)."""
        inter, intra = self.router(view)
        ranking = intra if forced is None else intra + 2 * _one_hot(forced, intra)  # forced beats any probability
        return Routing(inter, intra, ranking.topk(self.top_k, 2).indices)


class StaticMiMBlock(nn.Module):
    """What a plan leaves: the kept sub-experts only, their constant weights folded into `out`. No router."""

    def __init__(self, channels: int, hidden: int, plan: BlockPlan, shifted: bool):
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.experts = nn.ModuleDict(
            {kept.name: make_expert(kept.group, kept.expert, channels, hidden, shifted) for kept in plan.experts}
        )

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        for expert in self.experts.values():
            x = x + expert(normed)
        return x


def _one_hot(forced: Tensor, like: Tensor) -> Tensor:
    """f32[B,4,E] with a 1 at the forced sub-expert, all 0 where forced is negative."""
    return F.one_hot(forced.clamp(min=0), like.shape[2]).to(like.dtype) * (forced >= 0)[..., None]


def balance_loss(routings: list[Routing]) -> Tensor:
    """Squared coefficient of variation of importance and of load, over groups and over sub-experts (1701.06538)."""

    def cv2(share: Tensor) -> Tensor:  # [..., n]
        return (share.var(-1, unbiased=False) / share.mean(-1).square()).mean()

    total = torch.zeros((), device=routings[0].inter.device)
    for r in routings:
        load = F.one_hot(r.chosen, r.intra.shape[2]).sum(2).float().mean(0)  # [4,E]
        # Load has no gradient; multiplied by the importance it pushes probability away from crowded sub-experts.
        total = total + cv2(r.inter.mean(0)) + cv2(r.intra.mean(0)) + (load * r.intra.mean(0)).sum(-1).mean()
    return total / len(routings)
