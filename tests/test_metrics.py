"""Metrics against scikit-image, and at their edges."""

import math

import numpy as np
import pytest

from mimdit.errors import PhotoError
from mimdit.metrics import max_error, psnr, ssim


@pytest.fixture(params=[(11, 11, 3), (40, 57, 3), (64, 32)], ids=str)
def pair(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = np.clip(np.cumsum(rng.normal(0, 0.05, request.param), axis=0) + 0.5, 0, 1).astype(np.float32)
    return truth, np.clip(truth + rng.normal(0, 0.1, request.param), 0, 1).astype(np.float32)


def test_metrics_agree_with_scikit_image(pair: tuple[np.ndarray, np.ndarray]):
    reference = pytest.importorskip("skimage.metrics")
    truth, image = pair
    assert psnr(image, truth) == pytest.approx(reference.peak_signal_noise_ratio(truth, image, data_range=1), abs=1e-4)
    expected = reference.structural_similarity(
        truth.astype(np.float64),
        image.astype(np.float64),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
        channel_axis=-1 if truth.ndim == 3 else None,
    )
    assert ssim(image, truth) == pytest.approx(expected, abs=1e-9)


def test_equal_photos_are_perfect(pair: tuple[np.ndarray, np.ndarray]):
    truth, _ = pair
    assert psnr(truth, truth) == math.inf
    assert ssim(truth, truth) == pytest.approx(1)
    assert max_error(truth, truth) == 0


def test_max_error_finds_the_one_wrong_value():
    truth = np.zeros((12, 12, 3), np.float32)
    image = truth.copy()
    image[3, 4, 1] = 0.25
    assert max_error(truth, image) == max_error(image, truth) == 0.25


def test_metrics_do_not_wrap_around_on_integers():
    dark, bright = np.zeros((12, 12), np.uint8), np.ones((12, 12), np.uint8)
    assert max_error(dark, bright) == 1
    assert psnr(dark, bright) == 0


@pytest.mark.parametrize("metric", [psnr, ssim, max_error])
def test_metrics_refuse_different_shapes(metric):
    with pytest.raises(PhotoError, match="one shape"):
        metric(np.zeros((20, 20, 3), np.float32), np.zeros((20, 21, 3), np.float32))


def test_ssim_refuses_photos_smaller_than_its_window():
    with pytest.raises(PhotoError, match="11×11"):
        ssim(np.zeros((10, 20, 3), np.float32), np.zeros((10, 20, 3), np.float32))
