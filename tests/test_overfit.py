"""What was learned by heart: the gains that are compared, and the photos that they are compared on."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from mimdit.benchmarks import overfit
from mimdit.benchmarks.overfit import won
from mimdit.model.checkpoint import save_model
from mimdit.model.mimdit import MiMDiT


@pytest.fixture
def colourful() -> np.ndarray:
    """f32[256,256,3] with structure in luma and in both chromas."""
    small = np.random.default_rng(3).integers(30, 226, (16, 16, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((256, 256), Image.Resampling.BICUBIC), np.float32) / 255


def test_what_leaves_a_photo_alone_wins_nothing(nano: MiMDiT, colourful: np.ndarray) -> None:
    """An untrained network adds nothing to the photo: its last layers begin as nothing."""
    np.testing.assert_allclose(won(nano, [colourful], "jpeg"), np.zeros(4), atol=0.02)


def test_what_tints_a_photo_loses_in_one_chroma_only(nano: MiMDiT, colourful: np.ndarray) -> None:
    tinting = copy.deepcopy(nano)
    with torch.no_grad():
        tinting.codec.gates.light.bias[5] += 0.1  # pyright: ignore  # what is added to blue
    _, luma, blue, red = won(tinting, [colourful], "jpeg")
    assert blue < -5
    assert blue < red - 3
    assert blue < luma - 3


def test_photos_that_were_trained_on_stand_beside_those_that_were_not(
    nano: MiMDiT, colourful_photos: Path, tmp_path: Path
) -> None:
    save_model(nano, tmp_path / "run" / "model")
    app = typer.Typer()
    app.command()(overfit.main)
    ran = CliRunner().invoke(app, [str(tmp_path / "run" / "model"), "--photos", str(colourful_photos), "--count", "1"])
    assert ran.exit_code == 0, ran.output
    rows = [line.split("|") for line in ran.output.splitlines() if str(tmp_path) in line]
    assert [row[2].strip() for row in rows] == ["trained on", "held out"]
    assert [int(row[3]) for row in rows] == [4, 14]  # of two photos one tile in each of two scales; of one photo seven
