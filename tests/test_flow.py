"""Flows: to which latents they lead (found by descent, of each tile alone), and from how much noise."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mimdit.config import preset
from mimdit.model.checkpoint import save_model
from mimdit.model.mimdit import Guidance, MiMDiT
from mimdit.train.data import first_batches, photo_cache
from mimdit.train.inversion import inverted
from mimdit.train.loop import train
from mimdit.train.objective import Objective

from .test_train import EAGER, log_rows, stage

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def mixing() -> Tensor:
    return torch.randn(3, 4, generator=torch.Generator().manual_seed(1))


def errors(mixing: Tensor, latent: Tensor, truth: Tensor, steps: int) -> Tensor:
    def decode(latent: Tensor) -> Tensor:
        return torch.einsum("cz,bzhw->bchw", mixing, latent)

    return (decode(inverted(decode, latent, truth, steps)) - truth).square().mean((1, 2, 3))


def test_every_step_comes_nearer(mixing: Tensor):
    generator = torch.Generator().manual_seed(2)
    latent, truth = torch.randn(2, 4, 8, 8, generator=generator), torch.rand(2, 3, 8, 8, generator=generator)
    found = torch.stack([errors(mixing, latent, truth, steps) for steps in (0, 1, 2, 50)])
    assert (found[1:] < found[:-1]).all()
    assert found[-1].max() < 0.1 * found[0].min()


def test_a_tile_does_not_depend_on_its_neighbours(mixing: Tensor):
    generator = torch.Generator().manual_seed(3)
    latent, truth = torch.randn(2, 4, 8, 8, generator=generator), torch.rand(2, 3, 8, 8, generator=generator)
    assert torch.allclose(
        errors(mixing, latent, truth, 3)[:1], errors(mixing, latent[:1], truth[:1], 3), rtol=1e-4, atol=0
    )


def test_a_flow_is_led_there_from_what_its_start_restores(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    save_model(MiMDiT.from_preset(preset("nano")), tmp_path / "student")
    asked: list[tuple[Tensor, int]] = []

    def recorded(decode: Callable[[Tensor], Tensor], latent: Tensor, truth: Tensor, steps: int) -> Tensor:
        asked.append((latent, steps))
        return latent.detach()

    monkeypatch.setattr("mimdit.train.objective.inverted", recorded)
    config = stage(start=tmp_path / "student", inversion_steps=2, steps=1, evaluate_every=1)
    train(config, photo_folder, tmp_path / "run", way=EAGER)
    assert [steps for _, steps in asked] == [2]
    assert log_rows(tmp_path / "run")[0]["flow"] < 1e-9  # an untrained network restores the same from any noise


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.5, 8, 24), (1.0, 32, 32)])
def test_a_share_of_a_flow_is_trained_where_sampling_begins(
    share: float, least: int, most: int, photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    levels: list[torch.Tensor] = []
    real = MiMDiT.velocity

    def recorded(self: MiMDiT, latent: torch.Tensor, sigma: torch.Tensor, guidance: Guidance) -> torch.Tensor:
        levels.append(sigma)
        return real(self, latent, sigma, guidance)

    monkeypatch.setattr(MiMDiT, "velocity", recorded)
    config = stage(terminal_share=share, batch=32)
    objective = Objective(MiMDiT.from_preset(preset(config.preset)), config)
    objective(first_batches(photo_folder, photo_cache(tmp_path / "run"), config, 1)[0], 0)
    assert least <= int((levels[0] == 1).sum()) <= most
