"""Gains by kind of blur: what is blurred, and what leaves it as it is."""

from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from mimdit.benchmarks import blurs
from mimdit.model.checkpoint import save_model
from mimdit.model.mimdit import MiMDiT


@pytest.mark.parametrize("kind", ["shake", "encoded shake", "line", "defocus", "gaussian"])
def test_every_kind_spreads_a_spot_and_keeps_its_light(kind: str) -> None:
    truth = np.full((64, 64, 3), 0.2, np.float32)
    truth[30:34, 30:34] = 0.8
    image = blurs.blurred(truth, kind, 1)
    assert np.array_equal(image, blurs.blurred(truth, kind, 1))
    assert image[30:34, 30:34].max() < 200  # of 204
    spread = np.abs(image / 255 - truth).max(2) > 0.05
    assert not spread[:8].any()
    assert spread.sum() > 20
    light = [x if kind == "encoded shake" else _linear(x) for x in (truth, image / 255)]
    assert np.mean(light[0]) == pytest.approx(np.mean(light[1]), rel=0.02)


def test_what_leaves_blur_alone_wins_nothing(nano: MiMDiT, colourful_photos: Path, tmp_path: Path) -> None:
    """An untrained network adds nothing to the photo: its last layers begin as nothing."""
    save_model(nano, tmp_path / "run" / "model")
    app = typer.Typer()
    app.command()(blurs.main)
    arguments = [str(tmp_path / "run" / "model"), "--photos", str(colourful_photos), "--count", "1", "--each", "1"]
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.output
    (row,) = [line.split("|")[2:-1] for line in ran.output.splitlines() if str(tmp_path) in line]
    tiles, *gains = (cell.strip() for cell in row)
    assert tiles == "2"  # one of each of the two smaller scales
    assert len(gains) == 5
    assert all(abs(float(gain)) < 0.02 for gain in gains)


def _linear(encoded: np.ndarray) -> np.ndarray:
    return np.where(encoded > 0.04045, ((encoded + 0.055) / 1.055) ** 2.4, encoded / 12.92)
