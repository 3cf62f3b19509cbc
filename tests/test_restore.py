"""The app developer's call: any pixel type in, the same out; the variant chosen once."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

import mimdit
from mimdit.bundle import open_bundle, write_bundle
from mimdit.errors import BundleError, PhotoError
from mimdit.runtimes import dispatch
from mimdit.runtimes import restore as restore_module
from mimdit.runtimes.restore import Restorer
from mimdit.runtimes.tiler import Window

from .small import fill_small, small_manifest


def _photo(dtype: type, height: int = 90, width: int = 130) -> np.ndarray:
    unit = np.random.default_rng(0).random((height, width, 3), np.float32)
    return unit if dtype is np.float32 else (unit * np.iinfo(dtype).max).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_shape_and_dtype_come_back(small: Path, dtype: type) -> None:
    photo = _photo(dtype)
    restored = mimdit.restore(photo, mimdit.load_bundle(small), variant="denoise", threads=1)
    assert restored.dtype == dtype
    assert np.abs(restored.astype(np.float64) - photo).max() <= (1e-6 if dtype is np.float32 else 1)


def test_sixteen_bits_pass_without_an_eight_bit_bottleneck(small: Path) -> None:
    ramp = np.arange(256 * 64, dtype=np.uint16).reshape(64, 256, 1).repeat(3, 2)
    assert np.array_equal(mimdit.restore(ramp, open_bundle(small), variant="denoise"), ramp)


def test_auto_may_leave_the_photo_alone(small: Path) -> None:
    photo = _photo(np.uint8) // 4
    restored = Restorer(open_bundle(small)).restore(photo)
    assert restored.variant is None
    assert restored.runtime is None
    assert np.array_equal(restored.pixels, photo)
    assert restored.pixels is not photo


def test_auto_asks_the_dispatcher_once_a_photo_and_loads_once(
    small: Path, monkeypatch: pytest.MonkeyPatch, every_change_is_seen: None
) -> None:
    asked, opened = [], []
    scores = dispatch.Dispatcher.scores
    monkeypatch.setattr(dispatch.Dispatcher, "scores", lambda self, photo: asked.append(1) or scores(self, photo))
    open_trusted = restore_module.open_trusted

    def counting(*args: object, **kwargs: object) -> object:
        opened.append(1)
        return open_trusted(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(restore_module, "open_trusted", counting)
    restorer = Restorer(open_bundle(small))
    red = np.zeros((200, 200, 3), np.uint8)
    red[..., 0] = 255
    assert [restorer.restore(red).variant for _ in range(3)] == ["denoise"] * 3
    assert (len(asked), len(opened)) == (3, 1)


def test_auto_chains_two_variants_and_says_so(small: Path, every_change_is_seen: None) -> None:
    yellow = np.zeros((90, 90, 3), np.uint8)
    yellow[..., :2] = 255
    restored = Restorer(open_bundle(small)).restore(yellow)
    assert restored.variants == ("denoise", "deblur")
    assert restored.variant == "denoise+deblur"
    assert restored.scores is not None
    assert restored.scores["deblur"] == pytest.approx(1, abs=1e-5)
    assert np.array_equal(restored.pixels, yellow)


@pytest.fixture
def halving(tmp_path: Path) -> Restorer:
    """Of a bundle whose every variant halves the photo, at tiles of 64 and 128 px, and whose threshold is passed."""
    manifest = small_manifest(tiles=(64, 128))
    write_bundle(tmp_path / "halving.mimdit", manifest, partial(fill_small, manifest, gain=0.5))
    return Restorer(open_bundle(tmp_path / "halving.mimdit"), threads=1)


def test_strength_is_the_share_of_the_change(halving: Restorer) -> None:
    photo = _photo(np.float32)
    for strength in (0, 0.25, 1):
        restored = halving.restore(photo, "denoise", strength=strength).pixels
        assert np.allclose(restored, photo * (1 - strength / 2), atol=1e-6)


def test_a_chain_applies_every_variant(halving: Restorer) -> None:
    yellow = np.zeros((150, 90, 3), np.uint8)
    yellow[..., :2] = 200
    restored = halving.restore(yellow, window=Window(20, 30, 100, 40))
    assert restored.variant == "denoise+deblur"
    assert np.array_equal(restored.pixels, yellow[20:120, 30:70] // 4)
    assert yellow.max() == 200


def test_in_place_the_photo_receives_the_result(halving: Restorer) -> None:
    photo = _photo(np.uint16, 300, 200)
    apart = halving.restore(photo, "deblur")
    same = halving.restore(photo, "deblur", in_place=True)
    assert same.pixels is photo
    assert np.array_equal(photo, apart.pixels)


def test_a_window_outside_the_photo_is_one_line(halving: Restorer) -> None:
    for window in (Window(0, 0, 91, 10), Window(-1, 0, 5, 5), Window(0, 130, 5, 5), Window(0, 0, 0, 5)):
        with pytest.raises(PhotoError, match="not inside the photo of 130×90"):
            halving.restore(_photo(np.uint8), "deblur", window=window)


def test_the_largest_tile_at_less_than_twice_the_cost_is_taken(halving: Restorer) -> None:
    assert halving.restore(_photo(np.uint8, 50, 60), "denoise").tile == 64
    assert halving.restore(_photo(np.uint8, 100, 120), "denoise").tile == 128
    assert halving.restore(_photo(np.uint8, 60, 230), "denoise").tile == 64  # 128 would compute 2.4 times as much


def test_a_bundle_of_one_variant_needs_no_dispatcher(tmp_path: Path) -> None:
    manifest = small_manifest(("lowlight",), dispatcher=False)
    write_bundle(tmp_path / "one.mimdit", manifest, partial(fill_small, manifest))
    assert Restorer(open_bundle(tmp_path / "one.mimdit")).restore(_photo(np.uint8)).variant == "lowlight"


def test_what_the_bundle_lacks_is_named(tmp_path: Path) -> None:
    manifest = small_manifest(("denoise", "deblur"), dispatcher=False)
    write_bundle(tmp_path / "two.mimdit", manifest, partial(fill_small, manifest))
    restorer = Restorer(open_bundle(tmp_path / "two.mimdit"))
    with pytest.raises(BundleError, match=r"no dispatcher.*denoise, deblur"):
        restorer.restore(_photo(np.uint8))
    with pytest.raises(BundleError, match="no variant derain"):
        restorer.restore(_photo(np.uint8), "derain")


@pytest.mark.parametrize(
    "photo",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.int64),
        np.full((4, 4, 3), 2, np.float32),
        np.full((4, 4, 3), np.nan, np.float32),
    ],
)
def test_arrays_that_are_no_photo_are_refused(small: Path, photo: np.ndarray) -> None:
    with pytest.raises(PhotoError):
        mimdit.restore(photo, open_bundle(small))
