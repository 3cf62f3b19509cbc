"""Before `auto` uses a variant on a whole photo, the variant says whether it finds anything to restore."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mimdit.bundle import open_bundle, write_bundle
from mimdit.runtimes.restore import Restorer
from mimdit.runtimes.second_look import busiest_window, is_seen

from .small import fill_small, small_manifest


def _red(height: int, width: int) -> np.ndarray:
    """What the small bundle's dispatcher takes for noisy."""
    photo = np.zeros((height, width, 3), np.uint8)
    photo[..., 0] = 255
    return photo


def test_a_variant_that_finds_nothing_is_not_used(small: Path) -> None:
    restored = Restorer(open_bundle(small)).restore(_red(200, 200))
    assert restored.scores is not None
    assert restored.scores["denoise"] > 0.9
    assert restored.variants == ()
    assert np.array_equal(restored.pixels, _red(200, 200))


def test_a_variant_that_finds_something_is_used(tmp_path: Path) -> None:
    manifest = small_manifest()
    write_bundle(tmp_path / "halving.mimdit", manifest, partial(fill_small, manifest, gain=0.5))
    restored = Restorer(open_bundle(tmp_path / "halving.mimdit")).restore(_red(200, 200))
    assert restored.variants == ("denoise",)


def test_what_only_a_person_knows_is_not_asked_of_a_variant(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimdit.runtimes.dispatch.Dispatcher.chain", lambda self, scores: ("lowlight",))
    assert Restorer(open_bundle(small)).judge(_red(80, 80))[1] == ("lowlight",)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_change_of_four_levels_is_seen_and_one_of_three_is_not(dtype: type) -> None:
    full = 1 if dtype is np.float32 else np.iinfo(dtype).max
    photo = np.full((16, 16, 3), full / 2).astype(dtype)
    four, three = ((photo + np.array(levels / 255 * full)).astype(dtype) for levels in (4, 3))
    assert is_seen(photo, four)
    assert not is_seen(photo, three)


def test_the_window_lies_where_the_detail_is() -> None:
    photo = np.full((400, 600, 3), 128, np.uint8)
    photo[300:380, 500:580] += np.random.default_rng(0).integers(0, 90, (80, 80, 1), np.uint8)
    window = busiest_window(photo)
    assert (window.height, window.width) == (128, 128)
    assert 240 <= window.top <= 272
    assert 440 <= window.left <= 472


@pytest.mark.parametrize("shape", [(1, 1), (40, 500), (64, 64), (129, 127)])
def test_the_window_is_inside_a_small_photo(shape: tuple[int, int]) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    window = busiest_window(photo)
    assert (window.height, window.width) == tuple(min(side, 128) for side in shape)
    assert 0 <= window.top <= shape[0] - window.height
    assert 0 <= window.left <= shape[1] - window.width
