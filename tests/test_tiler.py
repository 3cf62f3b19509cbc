"""The tiler: identity where nothing is restored, no seams, no patches, little memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimdit.errors import BundleError
from mimdit.pixels import mirror
from mimdit.runtimes.echo import EchoRuntime
from mimdit.runtimes.tiler import Window, restore_strips, tile_borders, tile_count, whole_photo_view
from mimdit.runtimes.view import WholePhotoView, block_mean
from mimdit.views import photo_view

LEVEL = 1 / 255


class ExposureRuntime(EchoRuntime):
    """Plants what a tile alone does to a photo: every tile has an exposure of its own; the reduced photo has none."""

    def __init__(self, levels: float, tile: int = 256):
        super().__init__(tile)
        self._levels = levels
        self._rng = np.random.default_rng(0)
        self._calls = 0

    def _run(self, image: np.ndarray, photo: np.ndarray) -> np.ndarray:
        self._calls += 1
        if self._calls == 1:  # the tiler restores the whole-photo view first
            return image
        offset = self._rng.uniform(-self._levels, self._levels, (1, 3, 1, 1)) * LEVEL
        return np.clip(image + offset, 0, 1).astype(np.float32)


def _restore(photo: np.ndarray, runtime: EchoRuntime, overlap: int, align: bool = True) -> np.ndarray:
    return np.concatenate(list(restore_strips(photo, runtime, overlap, align=align)))


def _scene(height: int, width: int, low: float, high: float) -> np.ndarray:
    """Shapes, edges and texture at all scales, between two brightnesses; u8[H,W,3]."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    scene = np.zeros((height, width), np.float32)
    for _ in range(24):
        cy, cx, radius = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(20, 500)
        scene[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = rng.uniform(0, 1)
    scene = scene + 0.2 * np.sin(x / 9) * np.sin(y / 7)
    colour = scene[..., None] * np.array([1.0, 0.9, 0.8]) + rng.normal(0, 0.05, (height, width, 1))
    return np.rint((low + (high - low) * np.clip(colour, 0, 1)) * 255).astype(np.uint8)


def _local_means(photo: np.ndarray) -> np.ndarray:
    """Means over every 64 × 64 window, f64[H−63,W−63,3]."""
    total = np.pad(photo.astype(np.float64), ((1, 0), (1, 0), (0, 0))).cumsum(0).cumsum(1)
    return (total[64:, 64:] - total[:-64, 64:] - total[64:, :-64] + total[:-64, :-64]) / 64**2


def _patch_error(restored: np.ndarray, view: WholePhotoView) -> float:
    """Largest difference between 64 px local means of a restored photo and of its whole-photo view, in levels of 255.

    The photo is reduced exactly as the view was, then both are averaged over the same windows.
    """
    k = view.reduction
    height, width = (side // k * k for side in restored.shape[:2])
    found = block_mean(restored[:height, :width], k)
    wanted = view.pixels[: len(found), : found.shape[1]]
    window = 64 // k
    total = np.pad((found - wanted).astype(np.float64), ((1, 0), (1, 0), (0, 0))).cumsum(0).cumsum(1)
    n = window
    means = (total[n:, n:] - total[:-n, n:] - total[n:, :-n] + total[:-n, :-n]) / n**2
    return float(np.abs(means).max() / LEVEL)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 32), st.booleans())
def test_an_echo_gives_back_the_photo(height: int, width: int, overlap: int, align: bool) -> None:
    photo = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    restored = _restore(photo, EchoRuntime(64), overlap, align)
    assert restored.shape == photo.shape
    assert restored.dtype == np.float32
    assert np.array_equal(np.rint(restored * 255), photo)


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (3, 5), (64, 64), (65, 64)])
def test_the_smallest_photos_and_those_around_a_tile(size: tuple[int, int]) -> None:
    photo = np.random.default_rng(0).random((*size, 3), np.float32)
    assert np.allclose(_restore(photo, EchoRuntime(64), 16), photo, atol=1e-6)


def test_photos_too_long_for_one_view_get_a_view_of_the_view() -> None:
    """Above 16 tiles a side the reduced photo is itself restored in tiles."""
    photo = np.random.default_rng(0).integers(0, 256, (40, 64 * 40, 3), dtype=np.uint8)
    assert np.array_equal(np.rint(_restore(photo, EchoRuntime(64), 16) * 255), photo)


def test_mirror_repeats_no_edge_and_goes_on_for_ever() -> None:
    assert mirror(9, 3).tolist() == [0, 1, 2, 1, 0, 1, 2, 1, 0]
    assert mirror(4, 1).tolist() == [0, 0, 0, 0]
    for size in (2, 5, 8):
        assert np.array_equal(mirror(30, size), np.pad(np.arange(size), (0, 30 - size), mode="reflect"))


def test_photo_view_is_the_area_mean() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (640, 128, 3), dtype=np.uint8)
    expected = photo.reshape(64, 10, 64, 2, 3).mean((1, 3)) / 255
    assert np.allclose(photo_view(photo)[0].transpose(1, 2, 0), expected, atol=1e-6)
    uneven = np.random.default_rng(0).random((97, 201, 3), np.float32)
    assert np.allclose(photo_view(uneven).mean((0, 2, 3)), uneven.mean((0, 1)), atol=1e-6)
    assert np.array_equal(photo_view(np.full((1, 1, 3), 255, np.uint8)), np.ones((1, 3, 64, 64), np.float32))


def test_photo_view_is_the_same_for_every_pixel_type() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    for same in (photo.astype(np.uint16) * 257, photo.astype(np.float32) / 255):
        assert np.allclose(photo_view(same), photo_view(photo), atol=1e-6)


def test_every_tile_sees_the_whole_photo() -> None:
    seen = []

    class Watching(EchoRuntime):
        def _run(self, image: np.ndarray, photo: np.ndarray) -> np.ndarray:
            seen.append(photo)
            return image

    photo = np.random.default_rng(0).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    _restore(photo, Watching(64), 16)
    assert all(np.array_equal(view, photo_view(photo)) for view in seen)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.12), (0.55, 0.95)], ids=["dark", "hazy"])
def test_four_megapixels_keep_the_brightness_of_the_whole_photo(low: float, high: float) -> None:
    """At most 2 levels of 255 with the whole-photo view; without it the same check fails."""
    photo = _scene(1632, 2464, low, high)
    view = whole_photo_view(photo, EchoRuntime(), 32)
    assert view.reduction == 16
    aligned = _restore(photo, ExposureRuntime(12), 32)
    assert _patch_error(aligned, view) <= 2
    assert np.abs(_local_means(aligned) - _local_means(photo / 255)).max() <= 2 * LEVEL
    assert _patch_error(_restore(photo, ExposureRuntime(12), 32, align=False), view) > 2


def test_alignment_leaves_alone_what_agrees_with_the_view() -> None:
    photo = _scene(300, 420, 0, 1)
    aligned, plain = (_restore(photo, EchoRuntime(64), 16, align) for align in (True, False))
    assert np.allclose(aligned, plain, atol=1e-6)


def test_alignment_never_moves_a_pixel_by_more_than_the_tiles_were_off() -> None:
    photo = _scene(600, 800, 0, 1)
    moved = np.abs(_restore(photo, ExposureRuntime(3), 32) - photo / 255)
    assert moved.max() <= 3.5 * LEVEL


def test_blending_leaves_no_step_at_tile_borders() -> None:
    """A grey field with tiles 20 levels apart: no neighbouring pixels differ by more than the ramp's own slope."""
    photo = np.full((400, 400, 3), 0.5, np.float32)
    restored = _restore(photo, ExposureRuntime(10), 32, align=False)
    steepest = np.pi / 2 / 32 * 20 * LEVEL
    assert np.abs(np.diff(restored, axis=0)).max() <= steepest
    assert np.abs(np.diff(restored, axis=1)).max() <= steepest


def test_rows_come_while_tiles_run_and_progress_counts_them_all() -> None:
    photo = np.zeros((500, 100, 3), np.uint8)
    calls: list[tuple[int, int]] = []
    strips = restore_strips(photo, EchoRuntime(64), 16, progress=lambda done, total: calls.append((done, total)))
    first = next(strips)
    assert len(first) < 64
    assert calls[-1][0] < calls[-1][1]
    assert len(first) + sum(len(strip) for strip in strips) == 500
    assert calls[-1][0] == calls[-1][1] == len(calls)


def test_tiles_that_the_view_cannot_follow_are_refused() -> None:
    for tile, overlap in ((40, 8), (64, 33)):
        with pytest.raises(BundleError, match="multiple of 16"):
            _restore(np.zeros((9, 9, 3), np.uint8), EchoRuntime(tile), overlap)


class SmoothingRuntime(EchoRuntime):
    """Sees beyond each pixel, and black beyond the tile's border, as a network with zero padding does."""

    def _run(self, image: np.ndarray, photo: np.ndarray) -> np.ndarray:
        padded = np.pad(image, ((0, 0), (0, 0), (4, 4), (4, 4)))
        sums = np.pad(padded.cumsum(2).cumsum(3), ((0, 0), (0, 0), (1, 0), (1, 0)))
        mean = (sums[..., 9:, 9:] - sums[..., :-9, 9:] - sums[..., 9:, :-9] + sums[..., :-9, :-9]) / 81
        return np.clip(0.9 * image + 0.1 * mean.astype(np.float32), 0, 1)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_window_is_the_same_part_of_the_whole(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 260)), data.draw(st.integers(1, 260))
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    window = Window(top, left, data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left)))
    photo = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    whole = np.concatenate(list(restore_strips(photo, SmoothingRuntime(64), 16)))
    calls: list[tuple[int, int]] = []
    strips = restore_strips(
        photo, SmoothingRuntime(64), 16, window=window, progress=lambda done, total: calls.append((done, total))
    )
    part = np.concatenate(list(strips))
    assert np.array_equal(part, whole[top : top + window.height, left : left + window.width])
    assert calls[-1][0] == calls[-1][1] == len(calls) <= tile_count(height, width, 64, 16)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 400), st.integers(1, 200))
def test_strips_may_be_written_over_the_photo(height: int, width: int) -> None:
    photo = np.random.default_rng(0).random((height, width, 3), np.float32)
    apart = _restore(photo, SmoothingRuntime(64), 16)
    row = 0
    for strip in restore_strips(photo, SmoothingRuntime(64), 16):
        photo[row : row + len(strip)] = strip
        row += len(strip)
    assert np.array_equal(photo, apart)


def test_borders_are_where_tiles_begin_end_and_meet() -> None:
    assert tile_borders(64, 64, 64, 16) == []
    assert tile_borders(112, 64, 64, 16) == [48, 56, 64]
    assert tile_borders(128, 128, 64, 0) == [64]
