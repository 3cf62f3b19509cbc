"""A variant that returns the photo: what a bundle of it changes, the pipeline around the model changed.

It is no special case anywhere: the smallest network, untrained. Its decoder starts with residual, gain and offset at
zero, so the whole graph is computed, and its output is the input to the bit, (photo + 0) · exp(0) + 0.
"""

import torch

from mimdit.config import preset
from mimdit.model.mimdit import MiMDiT
from mimdit.routing.freeze import freeze, make_plan
from mimdit.routing.record import record_routing
from mimdit.train.data import Batch

_SIDE = 64  # px of the tile that its routing is recorded on


def identity_variant() -> MiMDiT:
    """A frozen `general` variant that gives back the tile that it was given. The same weights at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MiMDiT.from_preset(preset("nano")).eval()
        tile = torch.rand(1, 3, _SIDE, _SIDE)
    batch = Batch(tile, tile, tile, torch.zeros(1, dtype=torch.long), ["noise"])
    return freeze(model, make_plan("general", record_routing(model, [batch])))
