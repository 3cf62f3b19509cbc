"""Training: killed and resumed it ends with the very same bits, it learns, it logs, and it says what is wrong."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file

from mimdit.cli.distill import distill as distill_command
from mimdit.cli.train import WayName
from mimdit.cli.train import train as train_command
from mimdit.errors import CheckpointError, MimditError
from mimdit.model.checkpoint import checkpoint_hash, load_model
from mimdit.train.config import TrainConfig
from mimdit.train.data import PhotoScales, photo_cache
from mimdit.train.loop import train
from mimdit.train.objective import CRITERIA
from mimdit.train.pace import WAYS, Way, time_ways

pytestmark = pytest.mark.usefixtures("one_thread")

EAGER = "fp32 eager"

# Runs a stage, and kills its own process, as `kill -9` would, at the N-th call of a function.
KILLED = """
import importlib, os, signal, sys
from pathlib import Path
from mimdit.train.config import TrainConfig
from mimdit.train.loop import train

config, photos, out, module, name, calls = sys.argv[1:]
module = importlib.import_module(module)
real, left = getattr(module, name), int(calls)

def deadly(*args, **kwargs):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **kwargs)

setattr(module, name, deadly)
train(TrainConfig.model_validate_json(config), Path(photos), Path(out), way="fp32 eager")
"""


def stage(**changes: Any) -> TrainConfig:
    """Six short steps of the smallest reference."""
    short: dict[str, Any] = {
        "objective": "flow",
        "preset": "nano",
        "steps": 6,
        "batch": 2,
        "tile": 64,
        "views": (1, 2),
        "warmup": 2,
        "log_every": 1,
        "evaluate_every": 3,
        "save_every": 2,
        "validation_photos": 2,
        "forced_steps": 2,
        "taught_steps": 4,
    }
    return TrainConfig(**{**short, **changes})


def log_rows(out: Path) -> list[dict[str, Any]]:
    """The log without the times, which no two runs share."""
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def unkilled(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unkilled") / "run"
    train(stage(), photo_folder, out, way=EAGER)
    return out


@pytest.mark.parametrize(
    ("module", "function", "calls"),
    [("mimdit.train.loop", "ema_update", 6), ("mimdit.train.state", "save_file", 2)],
    ids=["in a step", "while saving"],
)
def test_killed_and_resumed_is_bit_equal(
    module: str, function: str, calls: int, unkilled: Path, photo_folder: Path, tmp_path: Path
):
    out = tmp_path / "run"
    arguments = [stage().model_dump_json(), str(photo_folder), str(out), module, function, str(calls)]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,  # not a pipe: the worker of a killed run holds it open for seconds
        stderr=subprocess.DEVNULL,
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (out / "model").exists()
    assert len(log_rows(out)) > json.loads((out / "state" / "state.json").read_text())["step"]

    train(stage(), photo_folder, out, way=EAGER)

    weights = "model/diffusion_pytorch_model.safetensors"
    assert (out / weights).read_bytes() == (unkilled / weights).read_bytes()
    resumed, whole = (load_file(run / "state" / "state.safetensors") for run in (out, unkilled))
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
    assert log_rows(out) == log_rows(unkilled)


def test_log_has_one_line_a_logged_step_and_one_an_evaluation(unkilled: Path):
    rows = log_rows(unkilled)
    assert [row["step"] for row in rows if "loss" in row] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in rows if "psnr_noise" in row] == [3, 6]
    assert {"flow", "balance", "prior", "lr"} <= rows[0].keys()
    assert "prior" not in rows[-2], "the routers are free by then"
    assert rows[-1]["psnr_clean"] is None, "a photo that is left as it is has no PSNR, and JSON no infinity"


def test_sheets_show_every_kind_degraded_restored_and_true(unkilled: Path):
    assert sorted(path.name for path in (unkilled / "sheets").iterdir()) == ["0000003.png", "0000006.png"]
    with Image.open(unkilled / "sheets" / "0000006.png") as sheet:
        assert sheet.size == (64 * len(stage().mix), 64 * 3)


def test_a_finished_run_is_left_as_it_is(unkilled: Path, photo_folder: Path):
    before, rows = checkpoint_hash(load_model(unkilled / "model")), log_rows(unkilled)
    train(stage(), photo_folder, unkilled)  # without a way: the run knows its own
    assert checkpoint_hash(load_model(unkilled / "model")) == before
    assert log_rows(unkilled) == rows


def test_flow_leaves_the_codec_and_moves_the_rest(unkilled: Path):
    state = load_file(unkilled / "state" / "state.safetensors")
    moved = {name.split(".")[1] for name in state if name.startswith("ema.") and _differ(state, name)}
    assert moved == {"backbone", "branch"}


def _differ(state: dict[str, torch.Tensor], averaged: str) -> bool:
    return not torch.equal(state[averaged], state[averaged.replace("ema.", "model.", 1)])


@pytest.mark.parametrize("objective", ["codec", "distill"])
def test_loss_falls(objective: str, photo_folder: Path, tmp_path: Path):
    config = stage(
        objective=objective,
        steps=24,
        mix={"lowlight": 1},
        views=(1,),
        learning_rate=3e-3,
        ema=0.8,
        evaluate_every=24,
        save_every=24,
    )
    train(config, photo_folder, tmp_path / "run", way=EAGER)
    losses = [row["loss"] for row in log_rows(tmp_path / "run") if "loss" in row]
    assert sum(losses[-6:]) < 0.8 * sum(losses[:6])


@pytest.mark.parametrize(("criterion", "best"), [("charbonnier", 0.1), ("rmse", 0.3)], ids=["median", "mean"])
def test_what_a_criterion_makes_of_pixels_that_may_be_either(criterion: str, best: float) -> None:
    truth = torch.tensor([0.1, 0.1, 0.7]).repeat(1, 3, 4, 1)
    guesses = [0.1, 0.2, 0.3, 0.4, 0.7]
    errors = [float(CRITERIA[criterion](torch.full_like(truth, guess), truth)) for guess in guesses]
    assert guesses[int(np.argmin(errors))] == best


def test_ways_are_timed_and_the_fastest_is_kept(photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mimdit.train.pace.WAYS", WAYS[:2])  # compiling takes a minute
    config = stage(steps=2, evaluate_every=2)
    train(config, photo_folder, tmp_path / "run")
    first = log_rows(tmp_path / "run")[0]
    assert first["step"] == 0
    assert min(("fp32 eager", "bf16 eager"), key=lambda way: first[f"seconds_{way.replace(' ', '_')}"]) == first["way"]
    other = next(way.name for way in WAYS[:2] if way.name != first["way"])
    with pytest.raises(CheckpointError, match="was begun as"):
        train(config, photo_folder, tmp_path / "run", way=other)


def test_a_way_that_is_not_open_here_is_passed_over():
    def make_step(way: Way) -> Callable[[], None]:
        if way.name != EAGER:
            raise RuntimeError("no compiler, no bf16")
        return lambda: None

    assert list(time_ways(make_step)) == [EAGER]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"start": "nowhere"}, "no model in nowhere"),
        ({"preset": "huge"}, "no preset 'huge'"),
        ({"validation_photos": 6}, "none are left to train on"),
        ({"tile": 192}, "does not fit"),
    ],
    ids=["start", "preset", "validation", "tile"],
)
def test_what_cannot_be_trained_is_one_line(changes: dict[str, Any], says: str, photo_folder: Path, tmp_path: Path):
    with pytest.raises(MimditError) as error:
        train(stage(**changes), photo_folder, tmp_path / "run", way=EAGER)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_bad_photos_are_one_line(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"no \.jpg or \.png photos"):
        train(stage(), tmp_path / "none", tmp_path / "run")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "text.jpg").write_text("not a photo")
    with pytest.raises(MimditError, match=r"text\.jpg: .*; remove it from the training photos"):
        train(stage(), tmp_path / "photos", tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "photos").iterdir()) == ["text.jpg"]


def test_another_config_is_refused(unkilled: Path, photo_folder: Path):
    with pytest.raises(CheckpointError, match="another config"):
        train(stage(seed=1), photo_folder, unkilled)


def test_other_photos_are_refused(unkilled: Path, photo_folder: Path, tmp_path: Path):
    for path in photo_folder.iterdir():
        with Image.open(path) as file:
            ImageOps.mirror(file).save(tmp_path / path.name)
    with pytest.raises(CheckpointError, match="was trained on other photos"):
        train(stage(), tmp_path, unkilled)


def test_photos_are_read_as_restore_reads_them(tmp_path: Path):
    """16 bits, where Pillow's own conversion to RGB is white from level 256 on; and what is decoded is kept once."""
    levels = np.linspace(0, 65535, 300 * 200).reshape(200, 300).astype(np.uint16)
    (tmp_path / "photos").mkdir()
    Image.fromarray(levels).save(tmp_path / "photos" / "deep.png")
    scales = PhotoScales(tmp_path / "photos", photo_cache(tmp_path / "runs" / "codec"))
    assert np.abs(scales.scales[0][0][..., 0] - levels / 257).max() <= 1
    assert photo_cache(tmp_path / "runs" / "variants" / "denoise" / "model") == tmp_path / "runs" / ".photo-cache"
    assert photo_cache(Path("/x")).parent == Path("/")


def test_train_prints_the_model_folder(photo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = tmp_path / "codec.toml"
    config.write_text(
        'objective = "codec"\npreset = "nano"\nsteps = 1\nbatch = 1\ntile = 64\nviews = [1]\nvalidation_photos = 1\n'
    )
    train_command(config, photo_folder, tmp_path / "run", EAGER)
    assert capsys.readouterr().out == f"{tmp_path / 'run' / 'model'}\n"
    with pytest.raises(CheckpointError, match='expected objective "distill", found "codec"'):
        distill_command(config, photo_folder, tmp_path / "other")


def test_ways_of_the_command_line_are_the_ways_there_are():
    assert set(get_args(WayName)) == {way.name for way in WAYS}
    assert [Way.named(way.name) for way in WAYS] == list(WAYS)
    with pytest.raises(CheckpointError, match="fp32 eager, bf16 eager"):
        Way.named("fp8 eager")
