"""Synthetic degradations: seeded, 8 bits at the end, and true to the physics that their docstrings claim."""

import numpy as np
import pytest

from mimdit.degrade import (
    Sensor,
    Shower,
    degrade,
    gaussian_noise,
    haze,
    jpeg,
    low_light,
    mixture,
    night,
    rain,
    sensor_noise,
)
from mimdit.degrade.airlight import depth_field, scatter
from mimdit.degrade.blur import blur, convolve, disc_kernel, gaussian_kernel, motion_kernel
from mimdit.degrade.light import eight_bits, enlarge, to_encoded, to_linear
from mimdit.degrade.lowlight import expose
from mimdit.metrics import psnr
from mimdit.targets import DEGRADATIONS, Degradation

QUIET = Sensor(electrons=1000, read_electrons=0, red_gain=1, blue_gain=1, denoising=0, blotch_px=2)


def scene(height: int = 96, width: int = 128) -> np.ndarray:
    """A photo of soft colours with hard edges, mean near the middle."""
    rng = np.random.default_rng(0)
    photo = np.stack([enlarge(rng.random((5, 5), dtype=np.float32), height, width) for _ in range(3)], axis=-1)
    photo[height // 3 : height // 2, width // 4 : width // 2] = (0.9, 0.7, 0.1)
    photo[height // 2 :, : width // 5] *= 0.3
    return eight_bits(photo)


def flat(value: float, size: int = 128) -> np.ndarray:
    return np.full((size, size, 3), value, np.float32)


def neighbour_correlation(noise: np.ndarray) -> float:
    """f32[H,W]: correlation of each pixel with the one to its right."""
    return float(np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1])


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_one_seed_gives_one_photo_of_8_bits(kind: Degradation):
    photo = scene()
    before = photo.copy()
    first, again, other = (degrade(photo, kind, np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert np.array_equal(photo, before)
    assert np.array_equal(first.image, again.image)
    assert first.settings == again.settings
    assert not np.array_equal(first.image, other.image)
    assert first.image.dtype == np.float32
    assert first.image.shape == photo.shape
    assert np.array_equal(first.image, eight_bits(first.image))


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (33, 50)])
@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_any_size_is_a_photo(kind: Degradation, size: tuple[int, int]):
    image = degrade(scene(*size), kind, np.random.default_rng(1)).image
    assert image.shape == (*size, 3)
    assert np.isfinite(image).all()


def test_light_round_trip_keeps_each_of_256_levels():
    levels = np.arange(256, dtype=np.float32) / 255
    assert np.array_equal(eight_bits(to_encoded(to_linear(levels))), levels)
    assert to_linear(np.array([0.5], np.float32))[0] == pytest.approx(0.2140, abs=1e-3)


def test_gaussian_noise_has_the_level_asked_for():
    noise = gaussian_noise(flat(0.5, 256), 25, np.random.default_rng(0)) - 0.5
    assert noise.std() * 255 == pytest.approx(25, rel=0.01)
    assert abs(neighbour_correlation(noise[..., 0])) < 0.02


def test_drawn_noise_covers_the_benchmarks():
    sigmas = [
        degrade(flat(0.5, 1), "noise", np.random.default_rng(seed)).settings["noise.sigma_255"] for seed in range(200)
    ]
    assert all(0 <= float(sigma) <= 55 for sigma in sigmas)
    assert sum(5 <= float(sigma) <= 50 for sigma in sigmas) > 150


def test_sensor_counts_photons():
    """Shot noise: without read noise, the variance of a photosite is its light divided by the electrons at white."""
    for light in (0.1, 0.4):
        taken = to_linear(sensor_noise(to_encoded(flat(light, 256)), QUIET, np.random.default_rng(0)))
        green = taken[0::2, 1::2, 1]  # measured there, not interpolated
        assert green.mean() == pytest.approx(light, rel=0.01)
        assert green.var() == pytest.approx(light / QUIET.electrons, rel=0.05)


def test_sensor_noise_is_correlated_and_denoising_makes_it_coarse():
    raw = Sensor(300, 2, 2, 1.6, denoising=0, blotch_px=4)
    denoised = Sensor(300, 2, 2, 1.6, denoising=0.6, blotch_px=4)
    noises = [sensor_noise(flat(0.5), sensor, np.random.default_rng(3)) - 0.5 for sensor in (raw, denoised)]
    fine, coarse = ((noise.mean(axis=-1), noise[..., 0] - noise[..., 1]) for noise in noises)
    assert all(neighbour_correlation(part) > 0.2 for part in fine)
    assert all(
        neighbour_correlation(after) > neighbour_correlation(before) for before, after in zip(fine, coarse, strict=True)
    )
    assert noises[1].std() < 0.7 * noises[0].std()


def test_drawn_sensor_noise_is_mostly_barely_visible():
    photo = scene()
    values = [psnr(degrade(photo, "sensor", np.random.default_rng(seed)).image, photo) for seed in range(40)]
    assert 32 < np.median(values) < 40
    assert min(values) > 22


def test_scatter_is_the_law_of_haze():
    photo, airlight = scene(), (0.8, 0.85, 0.9)
    t = np.exp(-1.5 * depth_field(photo.shape[0], photo.shape[1], np.random.default_rng(0)))
    expected = photo * t[..., None] + np.array(airlight) * (1 - t[..., None])
    assert scatter(photo, t, airlight) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("linear", [False, True])
def test_haze_has_one_transmission_for_all_scenes(linear: bool):
    """White minus black is t; any other scene behind the same haze must then be J·t + A·(1 − t), A as asked for."""
    airlight = (0.8, 0.8, 0.8)

    def hazy(photo: np.ndarray) -> np.ndarray:
        image = haze(photo, 1.2, airlight, np.random.default_rng(5), linear=linear)
        return to_linear(image) if linear else image

    photo = scene()
    light, sky = (
        (to_linear(photo), to_linear(np.array([0.8], np.float32))) if linear else (photo, np.array([0.8], np.float32))
    )
    black, white = hazy(np.zeros_like(photo)), hazy(np.ones_like(photo))
    t = white - black
    assert 0.2 < t.min() < t.max() < 0.95
    assert black == pytest.approx(sky * (1 - t), abs=2e-3)
    assert hazy(photo) == pytest.approx(light * t + sky * (1 - t), abs=2e-3)


def test_haze_takes_contrast_and_moves_to_the_airlight():
    photo = scene()
    spreads, distances = [photo.std()], [abs(photo.mean() - 0.9)]
    for beta in (0.3, 1, 3):
        hazy = haze(photo, beta, (0.9, 0.9, 0.9), np.random.default_rng(0))
        spreads.append(hazy.std())
        distances.append(abs(hazy.mean() - 0.9))
    assert spreads == sorted(spreads, reverse=True)
    assert distances == sorted(distances, reverse=True)


def test_depth_grows_towards_the_top():
    depths = [depth_field(40, 60, np.random.default_rng(seed)) for seed in range(20)]
    assert all(depth.min() >= 0.1 and depth.max() <= 1.001 for depth in depths)
    assert np.mean([depth[:5].mean() - depth[-5:].mean() for depth in depths]) > 0.2


def kernels() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shakes = [motion_kernel(length, rng.uniform(0, 360), 90, rng) for length in np.linspace(4, 30, 12)]
    lines = [motion_kernel(length, angle, 0, rng) for length in (0, 9, 30) for angle in (0, 30, 90)]
    return [*shakes, *lines, *map(disc_kernel, (0.8, 3, 6)), *map(gaussian_kernel, (0.6, 2, 4))]


@pytest.mark.parametrize("kernel", kernels())
def test_kernels_keep_energy_and_place(kernel: np.ndarray):
    size = len(kernel)
    assert size % 2 == 1
    assert size <= 31
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    place = np.arange(size) - size // 2
    assert abs(kernel.sum(axis=0) @ place) < 0.05
    assert abs(kernel.sum(axis=1) @ place) < 0.05


def test_convolve_is_the_sum_it_stands_for():
    rng = np.random.default_rng(0)
    planes, kernel = rng.random((2, 9, 14), dtype=np.float32), rng.random((5, 5), dtype=np.float32)
    padded = np.pad(planes, ((0, 0), (2, 2), (2, 2)), mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(1, 2))
    assert convolve(planes, kernel) == pytest.approx(np.einsum("cyxij,ij->cyx", windows, kernel[::-1, ::-1]), abs=1e-4)


def test_blur_mixes_light_not_file_values():
    """Fine black and white stripes look like half the light from afar: level 188, not 128."""
    stripes = np.zeros((32, 32, 3), np.float32)
    stripes[:, ::2] = 1
    assert blur(stripes, gaussian_kernel(3))[8:-8, 8:-8] * 255 == pytest.approx(188, abs=1)


def test_rain_falls_down_and_sends_on_the_sky():
    shower = Shower(length_px=25, width_px=1, angle_deg=0, drops=2, opacity=0.5, veil=0.02, sky=0.9)
    wet = rain(flat(0.2), shower, np.random.default_rng(0))
    assert wet.min() > 0.2
    assert wet.max() <= 0.9
    grey = wet[..., 0]
    assert neighbour_correlation(grey.T) > 0.85
    assert neighbour_correlation(grey) < 0.6


def test_drawn_rain_lies_20_to_30_db_from_the_truth():
    photo = scene()
    values = [psnr(degrade(photo, "rain", np.random.default_rng(seed)).image, photo) for seed in range(40)]
    assert 20 < np.median(values) < 30


def test_exposure_is_a_fraction_of_the_light():
    photo = to_encoded(flat(0.4))
    assert to_linear(expose(photo, 0.1, shoulder=0)) == pytest.approx(0.04, rel=0.01)
    # A shoulder means that highlights were brighter than they look, so that less of them is lost.
    assert expose(photo, 0.1, shoulder=0.8).mean() > expose(photo, 0.1, shoulder=0).mean()
    assert expose(photo, 1, shoulder=0.8) == pytest.approx(photo, abs=1e-3)


def test_low_light_is_darkness_with_its_noise():
    dark = low_light(flat(0.5), 0.05, 0.5, QUIET, np.random.default_rng(0))
    exposed = expose(flat(0.5), 0.05, 0.5)
    assert dark.mean() == pytest.approx(exposed.mean(), rel=0.05)
    # Relative to the signal, a twentieth of the light has about four times the noise.
    bright = sensor_noise(flat(0.5), QUIET, np.random.default_rng(0))
    ratio = [to_linear(image).std() / to_linear(image).mean() for image in (dark, bright)]
    assert ratio[0] > 3 * ratio[1]


def test_lamps_burn_out_in_the_truth_but_not_in_the_dark():
    photo, burnt, seen = flat(0.5), 0, 0
    for seed in range(20):
        truth, dark = night(photo, np.random.default_rng(seed))
        assert truth.min() >= 0.5 - 1 / 255  # lamps only add light
        assert psnr(dark.image, truth) < 20
        lamp = truth.min(axis=2) > 0.99
        burnt += lamp.sum()
        seen += (dark.image[lamp] < 0.98).all(axis=1).sum()
    assert burnt > 1000
    assert seen > 0.8 * burnt


def test_drawn_low_light_is_as_dark_as_underexposed_camera_files():
    photo = scene()
    assert 100 < photo.mean() * 255 < 140
    means = [degrade(photo, "lowlight", np.random.default_rng(seed)).image.mean() * 255 for seed in range(40)]
    assert 20 < np.median(means) < 65
    assert max(means) < 90


def test_jpeg_loses_more_at_lower_quality():
    photo = scene()
    values = [psnr(jpeg(photo, quality), photo) for quality in (8, 30, 60, 95)]
    assert values == sorted(values)


def test_mixture_follows_the_light():
    """Scene, lens, sensor, file, whatever the order asked for; darkness comes before blur, and its noise after."""
    settings = list(mixture(scene(), ["jpeg", "noise", "blur", "haze"], np.random.default_rng(0)).settings)
    first = [settings.index(name) for name in ("haze.beta", "blur.shape", "noise.sigma_255", "jpeg.quality")]
    assert first == sorted(first)
    settings = list(mixture(scene(), ["blur", "lowlight"], np.random.default_rng(0)).settings)
    first = [
        settings.index(name) for name in ("lowlight.exposure", "blur.shape", "lowlight.electrons", "lowlight.quality")
    ]
    assert first == sorted(first)


def test_mixture_of_one_is_degrade():
    one, single = (
        mixture(scene(), ["rain"], np.random.default_rng(4)),
        degrade(scene(), "rain", np.random.default_rng(4)),
    )
    assert np.array_equal(one.image, single.image)
    assert one.kind == single.kind == "rain"
    assert mixture(scene(), ["rain", "jpeg"], np.random.default_rng(4)).kind == "rain+jpeg"


@pytest.mark.parametrize("kinds", [[], ["snow"], ["rain", "rain"]])
def test_mixture_refuses_what_it_cannot_mix(kinds: list):
    with pytest.raises(ValueError, match="different kinds of noise, sensor"):
        mixture(scene(), kinds, np.random.default_rng(0))
