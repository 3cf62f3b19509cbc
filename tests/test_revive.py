"""Dead units are found, woken, and change nothing until they are trained."""

from pathlib import Path

import pytest
import torch
import typer
from torch import nn
from typer.testing import CliRunner

from mimdit.model.checkpoint import load_model, save_model
from mimdit.model.mimdit import MiMDiT
from mimdit.train import revive as command
from mimdit.train.data import Batch
from mimdit.train.revive import revive

from .frozen import frozen

BLOCK, TRUNK = "codec.decoder.blocks.2.0.first", "codec.gates.trunk"


@pytest.fixture(scope="module")
def seen() -> list[Batch]:
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(2, 3, 64, 64, generator=generator) for _ in range(2)]
    return [Batch(image, image, image, torch.zeros(2, dtype=torch.long), ["noise"] * 2) for image in images]


@pytest.fixture
def model(lively: MiMDiT) -> MiMDiT:
    return frozen(lively, "denoise")


def _kill(model: MiMDiT, name: str, units: int) -> None:
    layer = model.get_submodule(name)
    assert isinstance(layer, nn.Conv2d)
    with torch.no_grad():
        layer.bias[:units] = -100  # pyright: ignore[reportOptionalSubscript]


def _restored(model: MiMDiT, batch: Batch) -> torch.Tensor:
    with torch.no_grad():
        return model(batch.image, batch.photo)


def _gradient(model: MiMDiT, seen: list[Batch], name: str, units: int) -> float:
    """The least that one of the first units would move by."""
    model.zero_grad()
    model.requires_grad_(True)
    model(seen[0].image, seen[0].photo).square().mean().backward()
    gradient = model.get_parameter(name).grad
    assert gradient is not None
    return float(gradient.transpose(0, 1)[:units].abs().amax((1, 2, 3)).min())


def test_a_woken_block_restores_as_before_and_learns_again(model: MiMDiT, seen: list[Batch]) -> None:
    revive(model, seen)  # whatever was dead in it at the start
    _kill(model, BLOCK, 5)
    before, outgoing = _restored(model, seen[0]), BLOCK.replace("first", "second") + ".weight"
    assert _gradient(model, seen, outgoing, 5) == 0
    found = revive(model, seen)
    assert found[BLOCK][0] == 5
    assert sum(dead for dead, _ in found.values()) == 5
    torch.testing.assert_close(_restored(model, seen[0]), before)
    assert _gradient(model, seen, outgoing, 5) > 0
    assert sum(dead for dead, _ in revive(model, seen).values()) == 0


def test_a_woken_trunk_restores_nearly_as_before(model: MiMDiT, seen: list[Batch]) -> None:
    """Its gates read the restored latent in the same channels, so that their weights stay."""
    revive(model, seen)
    _kill(model, TRUNK, 4)
    before = _restored(model, seen[0])
    assert revive(model, seen)[TRUNK][0] == 4
    after = _restored(model, seen[0])
    assert not torch.equal(after, before)
    torch.testing.assert_close(after, before, atol=0.01, rtol=0)


def test_living_units_stay(model: MiMDiT, seen: list[Batch]) -> None:
    revive(model, seen)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    _kill(model, BLOCK, 5)
    revive(model, seen)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {f"{BLOCK}.weight", f"{BLOCK}.bias", BLOCK.replace("first", "second") + ".weight"}
    assert torch.equal(model.state_dict()[f"{BLOCK}.weight"][5:], before[f"{BLOCK}.weight"][5:])


def test_on_the_command_line(model: MiMDiT, photo_folder: Path, tmp_path: Path) -> None:
    _kill(model, BLOCK, 3)
    save_model(model, tmp_path / "whole")
    config = tmp_path / "tuning.toml"
    config.write_text(
        'objective = "distill"\nvariant = "denoise"\nsteps = 1\nbatch = 1\ntile = 64\nvalidation_photos = 1\n'
        "mix = { noise = 1 }\n"
    )
    app, out = typer.Typer(), tmp_path / "awake" / "denoise" / "model"
    app.command()(command.main)
    arguments = [str(config), str(tmp_path / "whole"), "--photos", str(photo_folder), "--out", str(out)]
    done = CliRunner().invoke(app, [*arguments, "--recorded", "1"])
    assert done.exit_code == 0, done.output
    dead = next(line for line in done.stderr.splitlines() if line.startswith(BLOCK)).split()
    assert int(dead[1]) >= 3
    bias = load_model(out).get_parameter(f"{BLOCK}.bias")
    assert float(bias[:3].min()) > -100
