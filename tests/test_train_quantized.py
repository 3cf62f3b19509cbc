"""Training in the numbers of w8a8: 8 bits in the pass forward, plain weights that move, and resumed to the bit."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mimdit.model.checkpoint import load_model, save_model
from mimdit.model.mimdit import MiMDiT
from mimdit.train import loop
from mimdit.train.config import TrainConfig
from mimdit.train.data import Batch
from mimdit.train.loop import train
from mimdit.train.objective import Objective
from mimdit.train.quantized import Rounded, rounded_layers

from .frozen import frozen

pytestmark = pytest.mark.usefixtures("one_thread")

EAGER = "fp32 eager"


@pytest.fixture(scope="module")
def start(lively: MiMDiT, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start") / "model"
    save_model(frozen(lively, "denoise"), folder)
    return folder


def stage(start: Path, **changes: Any) -> TrainConfig:
    short: dict[str, Any] = {
        "objective": "distill",
        "variant": "denoise",
        "quantized": True,
        "start": start,
        "steps": 4,
        "batch": 2,
        "tile": 64,
        "views": (1,),
        "mix": {"noise": 1},
        "warmup": 0,
        "log_every": 1,
        "evaluate_every": 4,
        "save_every": 2,
        "validation_photos": 2,
    }
    return TrainConfig(**{**short, **changes})


def batch() -> Batch:
    generator = torch.Generator().manual_seed(3)
    image = torch.rand(2, 3, 64, 64, generator=generator)
    return Batch(image, image, image, torch.zeros(2, dtype=torch.long), ["noise"] * 2)


def losses(out: Path) -> list[float]:
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def test_layers_compute_in_8_bits_and_gradients_pass(start: Path) -> None:
    objective = Objective(load_model(start), stage(start))
    moving = {id(parameter) for parameter in objective.trainable()}
    plain = objective(batch(), 0)["loss"]
    rounded = Rounded(objective, [batch()])
    seen: dict[nn.Module, tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {}
    for layer in rounded_layers(objective.model).values():
        layer.register_forward_hook(
            lambda layer, args, result: seen.update({layer: (layer.weight, args[0], result)})  # pyright: ignore
        )
    loss = rounded(batch(), 0)["loss"]
    loss.backward()

    assert float(loss.detach()) != float(plain.detach())
    for layer in rounded_layers(objective.model).values():
        weight, read, given = seen[layer]
        assert max(len(channel.unique()) for channel in weight.flatten(1)) <= 255
        assert len(read.unique()) <= 256
        assert len(given.unique()) <= 256
        kept = layer.weight
        assert isinstance(kept, nn.Parameter), "the model's own weights stay as they are"
        assert (weight - kept).abs().max() <= kept.abs().max() / 127
        if id(kept) in moving:
            assert kept.grad is not None
            assert kept.grad.isfinite().all()
            assert kept.grad.any()


def test_the_rounded_loss_falls_and_what_is_saved_is_plain(start: Path, photo_folder: Path, tmp_path: Path) -> None:
    config = stage(start, steps=16, learning_rate=3e-3, evaluate_every=16, save_every=16)
    saved = load_model(train(config, photo_folder, tmp_path / "run", way=EAGER))
    found = losses(tmp_path / "run")
    assert sum(found[-4:]) < 0.8 * sum(found[:4])
    before, after = load_model(start).state_dict(), saved.state_dict()
    assert list(after) == list(before)
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert any(name.startswith("codec.") for name in moved)
    assert any(".experts." in name for name in moved)
    assert not any(name.startswith("backbone.") for name in moved), "the trunk is shared"
    assert all(len(after[name].unique()) > 255 for name in moved if after[name].numel() > 4096)


def test_a_killed_run_ends_with_the_same_weights(
    start: Path, photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_model(train(stage(start), photo_folder, tmp_path / "whole", way=EAGER)).state_dict()
    real, left = loop.ema_update, [3]

    def deadly(*args: Any) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        real(*args)

    monkeypatch.setattr(loop, "ema_update", deadly)
    with pytest.raises(KeyboardInterrupt):
        train(stage(start), photo_folder, tmp_path / "killed", way=EAGER)
    assert json.loads((tmp_path / "killed" / "state" / "state.json").read_text())["step"] == 2
    resumed = load_model(train(stage(start), photo_folder, tmp_path / "killed", way=EAGER)).state_dict()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
