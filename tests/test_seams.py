"""Seams and patches: planted ones fail, the shipped tiler passes, moving the grid changes next to nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimdit.runtimes import tiler
from mimdit.runtimes.seams import PATCH_LIMIT, SEAM_LIMIT, patch_score, seam_score, step_ratio
from mimdit.runtimes.tiler import restore_strips, whole_photo_view

from .test_tiler import LEVEL, SmoothingRuntime, _scene


class OffsetRuntime(SmoothingRuntime):
    """Every tile but the first, which is the whole-photo view, is 3 levels too bright or too dark."""

    def __init__(self, tile: int):
        super().__init__(tile)
        self._calls = 0

    def _run(self, image: np.ndarray, photo: np.ndarray) -> np.ndarray:
        self._calls += 1
        sign = 0 if self._calls == 1 else (-1) ** self._calls
        return np.clip(super()._run(image, photo) + np.float32(sign * 3 * LEVEL), 0, 1)


def restored(photo: np.ndarray, runtime: SmoothingRuntime, overlap: int, *, align: bool = True) -> np.ndarray:
    strips = restore_strips(photo, runtime, overlap, align=align)
    return np.rint(np.concatenate(list(strips)) * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    scene = _scene(512, 512, 0.1, 0.9).astype(np.float32)
    return np.clip(scene + np.random.default_rng(1).normal(0, 5, scene.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def one_tile(photo: np.ndarray) -> np.ndarray:
    return restored(photo, SmoothingRuntime(512), 0)


def test_the_shipped_tiler_has_no_seam(photo: np.ndarray, one_tile: np.ndarray) -> None:
    assert seam_score(restored(photo, SmoothingRuntime(256), 32), one_tile, 256, 32) <= SEAM_LIMIT


def test_without_overlap_four_tiles_show_their_seams(photo: np.ndarray, one_tile: np.ndarray) -> None:
    assert seam_score(restored(photo, SmoothingRuntime(256), 0), one_tile, 256, 0) > SEAM_LIMIT


def test_one_tile_has_no_border(photo: np.ndarray) -> None:
    assert seam_score(photo, photo, 512, 32) == 1
    assert step_ratio(photo, photo, [256], [256]) == 1


def test_an_exposure_of_3_levels_a_tile_shows_in_the_patches(photo: np.ndarray) -> None:
    view = whole_photo_view(photo, SmoothingRuntime(256), 32)
    assert patch_score(restored(photo, OffsetRuntime(256), 32, align=False), view) > PATCH_LIMIT
    assert patch_score(restored(photo, OffsetRuntime(256), 32), view) <= PATCH_LIMIT
    assert patch_score(restored(photo, SmoothingRuntime(256), 32), view) <= PATCH_LIMIT


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 7), st.integers(130, 300), st.integers(130, 300))
def test_moving_the_grid_changes_next_to_nothing(shift: int, height: int, width: int) -> None:
    """At most 3 levels a pixel and 0.3 in the mean, of a runtime that sees black beyond its tile's border."""
    photo = _scene(height, width, 0.1, 0.9)
    still = np.concatenate(list(restore_strips(photo, SmoothingRuntime(128), 32)))
    with pytest.MonkeyPatch.context() as patch:
        axis = tiler._axis
        patch.setattr(tiler, "_axis", lambda *where: moved(axis(*where), where[2], 8 * shift))
        other = np.concatenate(list(restore_strips(photo, SmoothingRuntime(128), 32)))
    change = np.abs(other - still) / LEVEL
    assert change.max() <= 3
    assert change.mean() <= 0.3


def moved(axis: tiler._Axis, overlap: int, shift: int) -> tiler._Axis:
    """The same side with its inner tiles `shift` pixels further up and a tile more at the end, where that is needed."""
    tile, last = axis.weights.shape[1], axis.origins[-1]
    inner = range(tile - overlap - shift, last, tile - overlap)
    origins = (0, *(origin // 16 * 16 for origin in inner if origin > 0), *([last] if last else []))
    return tiler._Axis(axis.size, axis.mirror, origins, tiler._weights(origins, tile, overlap))
