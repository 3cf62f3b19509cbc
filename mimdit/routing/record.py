"""Router statistics: what dynamic routing decides, photo by photo, over photos of known degradations."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from mimdit.model.mimdit import MiMDiT
from mimdit.train.data import Batch


@dataclass(frozen=True)
class RouterStatistics:
    """Decisions for N photos in M MiM blocks with E sub-experts a group; `kinds` names each photo's degradation."""

    inter: np.ndarray  # f32[N,M,4]
    intra: np.ndarray  # f32[N,M,4,E]
    chosen: np.ndarray  # i64[N,M,4,k]
    kinds: tuple[str, ...]

    def of(self, kinds: Iterable[str]) -> "RouterStatistics":
        """The photos of these kinds only."""
        wanted = set(kinds)
        rows = [i for i, kind in enumerate(self.kinds) if kind in wanted]
        return RouterStatistics(
            self.inter[rows], self.intra[rows], self.chosen[rows], tuple(self.kinds[i] for i in rows)
        )


@torch.no_grad()
def record_routing(model: MiMDiT, batches: Iterable[Batch]) -> RouterStatistics:
    """What the routers of a dynamic model say of batches; no expert runs."""
    inter, intra, chosen, kinds = [], [], [], []
    for batch in batches:
        routings = model.branch.route(batch.image, batch.photo)
        inter.append(torch.stack([r.inter for r in routings], 1))
        intra.append(torch.stack([r.intra for r in routings], 1))
        chosen.append(torch.stack([r.chosen for r in routings], 1))
        kinds += batch.kinds
    return RouterStatistics(torch.cat(inter).numpy(), torch.cat(intra).numpy(), torch.cat(chosen).numpy(), tuple(kinds))
