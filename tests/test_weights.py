"""The released weights: small enough, whole, and worth something on a photo that none of them was trained on."""

from pathlib import Path

import numpy as np
import pytest

from mimdit.benchmarks.torch_models import TorchRuntime, restore_photo
from mimdit.example_photos import EXAMPLES
from mimdit.image import load
from mimdit.metrics import psnr
from mimdit.model.checkpoint import load_model
from mimdit.pixels import to_unit

WEIGHTS = Path(__file__).parent.parent / "weights"
STEPS = {"student-1": 1, "student-2": 2, "student-4": 4, "reference": 8}
MOST = 16e6  # bytes, of all of them together


def test_released_weights_are_these_and_small() -> None:
    assert {path.name for path in WEIGHTS.iterdir() if path.is_dir()} == set(STEPS)
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()) <= MOST


@pytest.mark.parametrize(("name", "steps"), STEPS.items())
def test_each_restores_a_noisy_photo(name: str, steps: int) -> None:
    truth, noisy = (load(EXAMPLES / f"{photo}.png").pixels for photo in ("juniper", "juniper-denoise"))
    restored = restore_photo(noisy, TorchRuntime(load_model(WEIGHTS / name), steps), "denoise")
    assert np.isfinite(to_unit(restored)).all()
    assert psnr(to_unit(restored), to_unit(truth)) > psnr(to_unit(noisy), to_unit(truth)) + 5
