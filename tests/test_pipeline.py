"""The diffusers pipeline: saved and loaded as one, steps as the network does, photos of any size."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mimdit.model.mimdit import MiMDiT
from mimdit.model.pipeline import MiMDiTPipeline, whole_photo
from mimdit.model.sampler import make_scheduler


def pipeline(model: MiMDiT, shift: float = 3.0) -> MiMDiTPipeline:
    made = MiMDiTPipeline(model, make_scheduler(shift))
    made.set_progress_bar_config(disable=True)
    return made


@pytest.mark.parametrize("steps", [1, 4])
def test_agrees_with_the_network_for_equal_noise(steps: int, lively: MiMDiT):
    tiles = torch.rand(2, 3, 64, 128)
    noise = torch.randn(2, lively.shape.latent_channels, 8, 16, generator=torch.Generator().manual_seed(7))
    drawn = pipeline(lively)(tiles, steps, torch.Generator().manual_seed(7), "pt").images
    constant = pipeline(lively)(tiles, steps, output_type="pt").images
    with torch.no_grad():
        torch.testing.assert_close(drawn, lively(tiles, whole_photo(tiles), noise, steps), atol=1e-6, rtol=0)
        torch.testing.assert_close(constant, lively(tiles, whole_photo(tiles), steps=steps), atol=1e-6, rtol=0)
    assert not torch.equal(torch.as_tensor(drawn), torch.as_tensor(constant))


def test_survives_saving(lively: MiMDiT, tmp_path: Path):
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8))
    pipeline(lively, shift=3.0).save_pretrained(tmp_path)
    loaded = MiMDiTPipeline.from_pretrained(tmp_path)
    assert isinstance(loaded, MiMDiTPipeline)
    assert loaded.scheduler.config["shift"] == 3.0
    loaded.set_progress_bar_config(disable=True)
    expected = np.asarray(pipeline(lively, shift=3.0)(photo, 2, output_type="np").images)
    np.testing.assert_allclose(np.asarray(loaded(photo, 2, output_type="np").images), expected, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (33, 64), (65, 127), (200, 100)])
def test_any_size_comes_back_as_it_was(size: tuple[int, int], lively: MiMDiT):
    (restored,) = pipeline(lively)(Image.new("RGB", size, (90, 60, 30))).images
    assert isinstance(restored, Image.Image)
    assert restored.size == size


def test_unknown_output_type_is_refused(nano: MiMDiT):
    with pytest.raises(ValueError, match="pil, np, pt"):
        pipeline(nano)(Image.new("RGB", (64, 64)), output_type="jpeg")
