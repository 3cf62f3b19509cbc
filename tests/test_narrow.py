"""Narrowing a frozen variant: what is dropped, what stays, and that a deeper decoder begins as the old one."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from mimdit.errors import CheckpointError
from mimdit.model.checkpoint import load_model, save_model
from mimdit.model.mimdit import MiMDiT
from mimdit.routing.inside import plan_difference
from mimdit.routing.narrow import narrow, with_depths
from mimdit.train import narrow as command

from .frozen import frozen


def _restored(model: MiMDiT) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        return model(torch.rand(1, 3, 64, 64, generator=generator), torch.rand(1, 3, 64, 64, generator=generator))


def _plan(model: MiMDiT) -> list[set[str]]:
    assert model.shape.plan is not None
    return [{expert.name for expert in block.experts} for block in model.shape.plan.blocks]


def test_what_changes_least_is_dropped_first(lively: MiMDiT) -> None:
    """Two sub-experts that add nothing go before any other, and nothing is lost by them."""
    whole = frozen(lively, "denoise")
    idle = [sorted(names)[0] for names in _plan(whole)]
    for block, name in zip(whole.branch.blocks, idle, strict=True):
        torch.nn.init.zeros_(block.experts[name].out.weight)  # pyright: ignore
        torch.nn.init.zeros_(block.experts[name].out.bias)  # pyright: ignore
    before = _restored(whole)

    def loss(model: MiMDiT) -> float:
        return float((_restored(model) - before).abs().mean())

    smaller = narrow(whole, sum(map(len, _plan(whole))) - len(idle), loss)
    assert [full - left for full, left in zip(_plan(whole), _plan(smaller), strict=True)] == [{name} for name in idle]
    torch.testing.assert_close(_restored(smaller), before)
    assert smaller.shape.plan is not None
    assert plan_difference(smaller.shape.plan, [name for name, _ in smaller.named_parameters()]) is None


def test_every_block_keeps_a_sub_expert(lively: MiMDiT) -> None:
    lines: list[str] = []
    smallest = narrow(frozen(lively, "denoise"), 2, lambda model: len(_plan(model)[0]), lines.append)
    assert [len(names) for names in _plan(smallest)] == [1, 1]
    assert len(lines) == 6
    assert lines[-1].endswith("2 sub-experts left")
    with pytest.raises(CheckpointError, match="1 sub-experts are too few: each of the 2 MiM blocks keeps one"):
        narrow(smallest, 1, lambda model: 0.0)


def test_a_dynamic_model_is_refused(lively: MiMDiT) -> None:
    with pytest.raises(CheckpointError, match="narrow a variant that `mimdit freeze` made"):
        narrow(lively, 2, lambda model: 0.0)


def test_a_deeper_decoder_begins_as_the_old_one(lively: MiMDiT, tmp_path: Path) -> None:
    whole = frozen(lively, "denoise")
    deeper = with_depths(whole, (3, 2, 2))
    assert len(deeper.state_dict()) == len(whole.state_dict()) + 3 * 4
    assert torch.equal(_restored(deeper), _restored(whole))
    save_model(deeper, tmp_path / "model")
    assert load_model(tmp_path / "model").shape.decoder_depths == (3, 2, 2)


def test_a_shallower_decoder_keeps_its_first_blocks(lively: MiMDiT) -> None:
    whole = frozen(lively, "denoise")
    moved = with_depths(with_depths(whole, (3, 2, 2)), (1, 3, 1))
    assert moved.shape.decoder_depths == (1, 3, 1)
    assert torch.equal(_restored(moved), _restored(whole))  # what was dropped and what was added is nothing yet


def test_on_the_command_line(lively: MiMDiT, photo_folder: Path, tmp_path: Path) -> None:
    import typer

    app = typer.Typer()
    app.command()(command.main)
    save_model(frozen(lively, "denoise"), tmp_path / "whole")
    config = tmp_path / "tuning.toml"
    config.write_text(
        'objective = "distill"\nvariant = "denoise"\nsteps = 1\nbatch = 1\ntile = 64\nvalidation_photos = 1\n'
        "mix = { noise = 1 }\n"
    )
    out = tmp_path / "narrow" / "denoise" / "model"
    arguments = [str(config), str(tmp_path / "whole"), "--photos", str(photo_folder), "--out", str(out)]
    done = CliRunner().invoke(app, [*arguments, "--experts", "3", "--depths", "2", "2", "1", "--recorded", "1"])
    assert done.exit_code == 0, done.output
    assert sum(map(len, _plan(load_model(out)))) == 3
    assert load_model(out).shape.decoder_depths == (2, 2, 1)
