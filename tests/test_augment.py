"""More photos out of few: what is changed, and what is not."""

import numpy as np
import pytest

from mimdit.train.augment import draw_crop, join, recolour, smooth_grain, warp

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@pytest.fixture
def muted() -> np.ndarray:
    """f32[32,32,3] of colours that no turn takes out of 0..1."""
    return np.random.default_rng(0).uniform(0.4, 0.6, (32, 32, 3)).astype(np.float32)


@pytest.mark.parametrize("shape", [(64, 64), (64, 90), (300, 200)])
def test_a_crop_is_of_its_size_whatever_was_taken(shape: tuple[int, int]) -> None:
    photo = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    for seed in range(40):
        crop = draw_crop(photo, 64, np.random.default_rng(seed))
        assert crop.shape == (64, 64, 3)
        assert crop.dtype == np.float32
        assert crop.min() >= 0
        assert crop.max() <= 1
        assert np.array_equal(crop, draw_crop(photo, 64, np.random.default_rng(seed)))


def test_crops_of_a_coloured_photo_have_many_hues_and_some_have_none() -> None:
    photo = np.broadcast_to(np.array([200, 120, 100], np.uint8), (64, 64, 3))
    crops = [draw_crop(photo, 64, np.random.default_rng(seed)).mean((0, 1)) for seed in range(300)]
    strongest = [int(np.argmax(crop)) for crop in crops if np.ptp(crop) > 0.02]
    assert {0, 1, 2} == set(strongest)
    assert strongest.count(0) > 200  # most are as they are, or nearly
    assert 0 < sum(np.ptp(crop) < 1e-5 for crop in crops) < 60
    kept = [draw_crop(photo, 64, np.random.default_rng(seed), varied=False).mean((0, 1)) for seed in range(50)]
    assert all(int(np.argmax(crop)) == 0 for crop in kept if np.ptp(crop) > 0.02)


def test_a_warped_piece_lies_within_the_photo_and_keeps_its_gradients() -> None:
    """Of a photo whose red is x and whose green is y the warp can be read from the colours."""
    y, x = np.mgrid[:300, :400]
    photo = np.stack([x / 400, y / 300, np.ones_like(x)], 2)
    slopes = []
    for seed in range(40):
        piece = warp((photo * 255).astype(np.uint8), 64, np.random.default_rng(seed))
        assert piece is not None
        assert piece.shape == (64, 64, 3)
        assert piece[..., 2].min() == 255  # nothing from beyond the edge
        down, across = np.gradient(piece.astype(float), axis=(0, 1))
        steps = np.array([[g[..., c].mean() for g in (across, down)] for c in (0, 1)]) * [[400 / 255], [300 / 255]]
        slopes.append(np.sqrt(abs(np.linalg.det(steps))))  # the photo's px across one of the piece
    assert 1.3 < min(slopes) < 1.8
    assert 2.2 < max(slopes) < 3.2
    assert len(set(np.round(slopes, 2))) > 20


def test_a_photo_too_small_to_be_reduced_is_not_warped() -> None:
    photo = np.zeros((80, 300, 3), np.uint8)
    assert all(warp(photo, 64, np.random.default_rng(seed)) is None for seed in range(20))


def test_joined_photos_have_the_light_of_the_first_and_the_detail_of_both(muted: np.ndarray) -> None:
    plain = np.broadcast_to(np.array([0.5, 0.4, 0.3], np.float32), (32, 32, 3))
    both = join(plain, muted, np.random.default_rng(3))
    assert both.dtype == np.float32
    np.testing.assert_allclose(both.mean((0, 1)), plain.mean((0, 1)), atol=0.01)
    detail, theirs = (both - plain).ravel(), (muted - muted.mean((0, 1))).ravel()
    assert np.corrcoef(detail, theirs)[0, 1] > 0.95
    np.testing.assert_allclose(join(muted, plain, np.random.default_rng(3)), muted, atol=1e-5)


def test_other_colours_are_as_light(muted: np.ndarray) -> None:
    turned = recolour(muted, 2.0, 0.8)
    assert np.abs(turned - muted).max() > 0.05
    np.testing.assert_allclose(turned @ LUMA, muted @ LUMA, atol=1e-5)
    np.testing.assert_allclose(recolour(muted, 0.0, 1.0), muted, atol=1e-5)
    np.testing.assert_allclose(recolour(turned, -2.0, 1 / 0.8), muted, atol=1e-5)


def test_grain_goes_and_detail_stays() -> None:
    rng = np.random.default_rng(2)
    edge = np.full((64, 64, 3), 0.3, np.float32)
    edge[:, 32:] = 0.6
    grainy = edge + rng.normal(0, 0.5 / 255, edge.shape).astype(np.float32)
    smooth = smooth_grain(grainy, 1 / 255)
    flat = np.s_[8:-8, 4:24]
    assert smooth[flat].std() < 0.4 * grainy[flat].std()
    assert np.abs(smooth - grainy)[:, 28:36].max() < 2 / 255  # an edge of 76 levels
    texture = edge + rng.normal(0, 6 / 255, edge.shape).astype(np.float32)
    assert smooth_grain(texture, 1 / 255)[flat].std() > 0.95 * texture[flat].std()
