"""Models stored as what differs from another: exact, bound to their base, and refused where they do not fit."""

import copy
import json
from pathlib import Path

import pytest
import torch

from mimdit.errors import CheckpointError
from mimdit.model.checkpoint import checkpoint_hash, load_model, save_model
from mimdit.model.difference import NOTE, TENSORS, save_difference
from mimdit.model.mimdit import MiMDiT
from mimdit.routing.freeze import round_to_half
from mimdit.train.collect import collect
from mimdit.train.release import release

from .frozen import frozen


@pytest.fixture
def pair(lively: MiMDiT, tmp_path: Path) -> tuple[MiMDiT, Path]:
    """A model whose backbone differs from its base, and the folder of the difference; the base lies beside it."""
    base = round_to_half(copy.deepcopy(lively))
    other = copy.deepcopy(base)
    with torch.no_grad():
        other.backbone.proj_out.weight += 0.25
    save_model(base, tmp_path / "base", half=True)
    save_difference(other, base, "base", checkpoint_hash(base), tmp_path / "other")
    return round_to_half(other), tmp_path / "other"


def test_a_difference_gives_the_model_back_and_holds_only_what_differs(pair: tuple[MiMDiT, Path]):
    model, folder = pair
    assert checkpoint_hash(load_model(folder)) == checkpoint_hash(model)
    assert (folder / TENSORS).stat().st_size < 0.1 * sum(f.stat().st_size for f in (folder.parent / "base").iterdir())


def test_a_difference_refuses_another_base(pair: tuple[MiMDiT, Path], nano: MiMDiT):
    save_model(nano, pair[1].parent / "base")
    with pytest.raises(CheckpointError, match="made for other weights"):
        load_model(pair[1])


@pytest.mark.parametrize("name", ["../base", "/etc", "..", "sub/base"])
def test_a_base_lies_beside_its_difference(pair: tuple[MiMDiT, Path], name: str):
    note = json.loads((pair[1] / NOTE).read_text())
    (pair[1] / NOTE).write_text(json.dumps({**note, "base": name}))
    with pytest.raises(CheckpointError, match="not the name of a folder beside it"):
        load_model(pair[1])


def test_differences_do_not_go_in_circles(pair: tuple[MiMDiT, Path]):
    note = json.loads((pair[1] / NOTE).read_text())
    (pair[1] / NOTE).write_text(json.dumps({**note, "base": "other"}))
    with pytest.raises(CheckpointError, match="on top of each other"):
        load_model(pair[1])


@pytest.mark.parametrize("text", ["", "[]", "{}"])
def test_a_broken_note_is_named(pair: tuple[MiMDiT, Path], text: str):
    (pair[1] / NOTE).write_text(text)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_model(pair[1])


def test_no_difference_between_shapes(nano: MiMDiT, tmp_path: Path):
    other = MiMDiT.from_preset(nano.shape.model_copy(update={"branch_channels": 16}))
    with pytest.raises(CheckpointError, match="configs differ"):
        save_difference(other, nano, "base", "", tmp_path / "other")


def test_a_release_gives_every_model_back_as_rounded(lively: MiMDiT, tmp_path: Path):
    tuned = copy.deepcopy(lively)
    with torch.no_grad():
        tuned.backbone.proj_out.bias += 0.5  # pyright: ignore
    save_model(lively, tmp_path / "a")
    save_model(tuned, tmp_path / "b")
    further = copy.deepcopy(tuned)
    with torch.no_grad():
        further.codec.gates.light.bias += 0.5  # pyright: ignore
    save_model(further, tmp_path / "c")
    names = "student-1", "reference", "student-2:reference"
    release(tmp_path / "weights", dict(zip(names, (tmp_path / "a", tmp_path / "b", tmp_path / "c"), strict=True)))
    assert (tmp_path / "weights" / "student-2" / TENSORS).stat().st_size < 500
    for name, model in (("student-1", lively), ("reference", tuned), ("student-2", further)):
        rounded = round_to_half(copy.deepcopy(model))
        assert checkpoint_hash(load_model(tmp_path / "weights" / name)) == checkpoint_hash(rounded)


def test_a_zero_that_lost_its_sign_is_a_difference(lively: MiMDiT, tmp_path: Path):
    """Averaging weights that do not move makes 0 of −0, and hashes tell them apart."""
    base = copy.deepcopy(lively)
    with torch.no_grad():
        base.backbone.proj_out.bias.fill_(-0.0)  # pyright: ignore
        changed = copy.deepcopy(base)
        changed.backbone.proj_out.bias.fill_(0.0)  # pyright: ignore
    save_model(base, tmp_path / "a")
    save_model(changed, tmp_path / "b")
    release(tmp_path / "weights", {"student-1": tmp_path / "a", "reference": tmp_path / "b"})
    loaded = load_model(tmp_path / "weights" / "reference")
    assert checkpoint_hash(loaded) == checkpoint_hash(round_to_half(changed)) != checkpoint_hash(round_to_half(base))


def test_variants_are_collected_rounded_and_each_under_its_own_name(lively: MiMDiT, tmp_path: Path):
    model = frozen(lively, "denoise")
    save_model(model, tmp_path / "a")
    collect(tmp_path / "out", {"denoise": tmp_path / "a"})
    assert checkpoint_hash(load_model(tmp_path / "out" / "denoise" / "model")) == checkpoint_hash(round_to_half(model))
    with pytest.raises(CheckpointError, match="not a frozen derain"):
        collect(tmp_path / "other", {"derain": tmp_path / "a"})
    assert not (tmp_path / "other").exists()
