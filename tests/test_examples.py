"""Training examples: what deployment fixes, they fix; what it does not, they vary."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mimdit.train.config import Ingredient, TrainConfig
from mimdit.train.data import Examples, PhotoScales

MANY = 60


def _drawn(kind: Ingredient, photo_folder: Path, tmp_path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """(degraded, truth) of many examples, f32[3,64,64] each."""
    config = TrainConfig(objective="distill", steps=1, tile=64, views=(2,), mix={kind: 1.0}, seed=3)
    scales = PhotoScales(photo_folder, tmp_path / "cache")
    examples = Examples(scales, list(range(len(scales.names))), config)
    return [examples[i][:2] for i in range(MANY)]


def _blocks_begin_at(tile: np.ndarray) -> tuple[int, int]:
    """The place, 0..7 down and right, of the edges between JPEG's blocks: where steps between pixels are largest."""
    steps = [np.abs(np.diff(tile.mean(0), axis=axis)).mean(1 - axis) for axis in (0, 1)]
    down, right = (np.argmax([line[place::8].mean() for place in range(8)]) for line in steps)
    return (int(down) + 1) % 8, (int(right) + 1) % 8


def test_most_tiles_begin_where_a_jpeg_does(photo_folder: Path, tmp_path: Path) -> None:
    places = [_blocks_begin_at(degraded) for degraded, _ in _drawn("jpeg", photo_folder, tmp_path)]
    at_the_corner = places.count((0, 0)) / MANY
    assert 0.5 < at_the_corner < 1  # anywhere: a 64th; high qualities hide their blocks


def test_truths_of_dark_photos_are_well_exposed(photo_folder: Path, tmp_path: Path) -> None:
    dark, others = (
        np.mean([truth.mean() for _, truth in _drawn(kind, photo_folder, tmp_path)]) for kind in ("lowlight", "noise")
    )
    assert dark > others


@pytest.mark.parametrize("kind", ["noise", "blur"])
def test_some_photos_have_no_colour(kind: Ingredient, photo_folder: Path, tmp_path: Path) -> None:
    grey = [bool(np.ptp(truth, axis=0).max() < 1e-6) for _, truth in _drawn(kind, photo_folder, tmp_path)]
    assert 0 < sum(grey) < MANY / 4


def test_what_loses_detail_is_learned_where_there_is_some(tmp_path: Path) -> None:
    """Of photos that are half smooth, half fine grain, JPEGs and blur show more than other kinds do, but not only."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(2):
        photo = np.full((256, 512, 3), 128, np.uint8)
        photo[:, 256:] += np.random.default_rng(i).integers(0, 64, (256, 256, 1), np.uint8)
        Image.fromarray(photo).save(folder / f"{i}.png")
    detail = {
        kind: np.array([np.abs(np.diff(truth, axis=2)).mean() for _, truth in _drawn(kind, folder, tmp_path)])
        for kind in ("jpeg", "blur", "noise")
    }
    for kind in ("jpeg", "blur"):
        assert detail[kind].mean() > 1.2 * detail["noise"].mean()
        assert detail[kind].min() < 1e-3


def test_truths_of_sensor_noise_are_softer_in_part(photo_folder: Path, tmp_path: Path) -> None:
    soft, sharp = (
        np.array([np.abs(np.diff(truth, axis=2)).mean() for _, truth in _drawn(kind, photo_folder, tmp_path)])
        for kind in ("sensor", "noise")
    )
    assert np.median(soft) < 0.8 * np.median(sharp)
    assert soft.max() > 0.8 * sharp.max()  # not all
