"""Routing: what is recorded, what a plan says of it, and that a frozen network is the dynamic one it was cut from."""

import copy
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from mimdit.errors import CheckpointError
from mimdit.model.checkpoint import load_model, save_model
from mimdit.model.mimdit import MiMDiT
from mimdit.routing.freeze import freeze, make_plan, round_to_half
from mimdit.routing.inside import experts_inside, plan_difference
from mimdit.routing.plan import GROUPS, RoutingPlan
from mimdit.routing.prior import family_of, prior_experts
from mimdit.routing.record import record_routing
from mimdit.targets import DEGRADATIONS, DISPATCHER_CLASSES
from mimdit.train.config import TrainConfig
from mimdit.train.data import Batch
from mimdit.train.objective import Objective


def _batch(photos: int, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(photos, 3, 64, 64, generator=generator)
    families = torch.zeros(photos, dtype=torch.long)
    return Batch(image, image, torch.rand(photos, 3, 64, 64, generator=generator), families, ["noise"] * photos)


def _plan(model: MiMDiT, photos: int) -> RoutingPlan:
    return make_plan("denoise", record_routing(model, [_batch(photos)]))


def test_frozen_is_dynamic_where_the_plan_is_a_photos_own(lively: MiMDiT) -> None:
    """A plan made of one photo holds that photo's choices and weights: nothing may change for it."""
    batch = _batch(1)
    static = freeze(lively, _plan(lively, 1))
    with torch.no_grad():
        difference = (static(batch.image, batch.photo) - lively(batch.image, batch.photo)).abs().max()
    assert difference < 1e-5


def test_freezing_drops_experts_and_routers(lively: MiMDiT) -> None:
    plan = _plan(lively, 3)
    static = freeze(lively, plan)
    names = [name for name, _ in static.named_parameters()]
    assert plan_difference(plan, names) is None
    assert not [name for name in names if "router" in name or ".groups." in name]
    assert len(experts_inside(names)) == plan.experts == len(plan.blocks) * len(GROUPS)


def test_plan_weights_are_means_over_those_who_chose(lively: MiMDiT) -> None:
    statistics = record_routing(lively, [_batch(3), _batch(2, seed=1)])
    plan = make_plan("denoise", statistics)
    assert plan.photos == 5
    for b, block in enumerate(plan.blocks):
        for kept in block.experts:
            g = GROUPS.index(kept.group)
            users = (statistics.chosen[:, b, g] == kept.expert).any(1)
            expected = (statistics.inter[users, b, g] * statistics.intra[users, b, g, kept.expert]).mean()
            assert kept.weight == pytest.approx(expected)
        assert 0 < block.agreement <= 1


def test_a_frozen_model_survives_the_disk(lively: MiMDiT, tmp_path: Path) -> None:
    static = round_to_half(freeze(lively, _plan(lively, 2)))
    save_model(static, tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert again.shape.plan == static.shape.plan
    for name, tensor in static.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
        assert torch.equal(tensor, tensor.half().float()), name


def test_freezing_twice_is_refused(lively: MiMDiT) -> None:
    plan = _plan(lively, 1)
    with pytest.raises(CheckpointError, match="frozen already"):
        freeze(freeze(lively, plan), plan)


def test_a_plan_without_photos_is_refused(lively: MiMDiT) -> None:
    statistics = record_routing(lively, [_batch(1)])
    with pytest.raises(CheckpointError, match="no photos of dehaze"):
        make_plan("dehaze", statistics.of(["haze"]))


def test_a_missing_and_a_swapped_expert_are_named(lively: MiMDiT) -> None:
    plan = _plan(lively, 1)
    names = [name for name, _ in freeze(lively, plan).named_parameters()]
    kept = plan.blocks[1].experts[2].name
    dropped = [name for name in names if f"blocks.1.experts.{kept}." not in name]
    assert plan_difference(plan, dropped) == f"sub-expert {kept} of MiM block 1 is in the plan but not in the file"
    other = f"{kept[:-1]}{(int(kept[-1]) + 1) % 3}"
    swapped = [*dropped, f"model.branch.blocks.1.experts.{other}.out.weight"]
    assert kept in str(plan_difference(plan, swapped))


def test_prior_parts_every_two_families_in_most_places() -> None:
    """Any two families share a sub-expert in a fifth of the places, and each sub-expert serves exactly two."""
    blocks = 5  # 20 places: every matching four times
    tables = [prior_experts(family, blocks) for family in range(len(DISPATCHER_CLASSES))]
    for one, other in itertools.combinations(tables, 2):
        assert (one == other).mean() == pytest.approx(1 / 5)
    for place in np.stack(tables).reshape(6, -1).T:
        assert sorted(place.tolist()) == [0, 0, 1, 1, 2, 2]
    assert (prior_experts(-1, blocks) == -1).all()


def test_every_degradation_has_its_family() -> None:
    assert [DISPATCHER_CLASSES[family_of(kind)] for kind in DEGRADATIONS] == [
        "denoise",
        "denoise",
        "deblur",
        "dehaze",
        "derain",
        "lowlight",
        "dejpeg",
    ]


def test_routers_learn_alone_what_they_are_taught(lively: MiMDiT) -> None:
    """Nothing else moves, and what they choose without any expert is what they choose in the whole network."""
    config = TrainConfig(objective="routers", steps=1)
    objective = Objective(copy.deepcopy(lively), config)
    objective.trainable()
    moving = {name for name, p in objective.model.named_parameters() if p.requires_grad}
    assert moving
    assert all(".router." in name for name in moving)
    batch = _batch(4)
    routings = objective.model.branch.route(batch.image, batch.photo)
    degraded, _ = lively.codec.encode(batch.image)
    for alone, whole in zip(routings, lively.guide(batch.image, degraded, batch.photo).routings, strict=True):
        torch.testing.assert_close(alone.intra, whole.intra)
    optimizer = torch.optim.Adam(objective.trainable(), 0.01)
    losses = []
    for step in range(12):
        loss = objective(batch, step)["loss"]
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
