"""A frozen variant of an untrained network: what targets are exported from in tests."""

import torch

from mimdit.model.mimdit import MiMDiT
from mimdit.routing.freeze import freeze, make_plan, round_to_half
from mimdit.routing.record import record_routing
from mimdit.targets import Variant
from mimdit.train.data import Batch

FROZEN_TILE = 64


def frozen(model: MiMDiT, variant: Variant) -> MiMDiT:
    """Its routing follows from two random tiles, seeded by the variant; its weights are those that a bundle stores."""
    generator = torch.Generator().manual_seed(len(variant))
    image = torch.rand(2, 3, FROZEN_TILE, FROZEN_TILE, generator=generator)
    batch = Batch(image, image, image, torch.zeros(2, dtype=torch.long), ["noise"] * 2)
    return round_to_half(freeze(model, make_plan(variant, record_routing(model, [batch]))))
