"""Which photos are measured and on what inputs: manifests, pairs, alignment, synthetic degradations."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from mimdit.benchmarks.alignment import aligned
from mimdit.benchmarks.datasets import LONG_SIDE, Group, folder_groups, manifest_groups, select
from mimdit.benchmarks.synthetic import RAIN_PSNR, SYNTHETIC, degraded
from mimdit.errors import MimditError, PhotoError
from mimdit.metrics import psnr

if TYPE_CHECKING:
    pass

from .photo_sets import HEADER, photo_set, some_photo


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return photo_set(tmp_path)


def _by_name(groups: list[Group]) -> dict[str, Group]:
    return {f"{group.degradation} {group.dataset}": group for group in groups}


def test_a_manifest_says_what_is_wrong_and_what_belongs_to_it(data: Path) -> None:
    groups = _by_name(manifest_groups(data))
    assert len(groups) == 4 + len(SYNTHETIC)
    assert groups["clean clean_us"].variant is None
    assert groups["noise-25 clean_us"].sigma_255 == 25
    noisy, shaken, hazy = (groups[name] for name in ("noise denoise_us", "blur deblur_us", "haze haze_unpaired"))
    assert (noisy.variant, noisy.reach, shaken.variant, shaken.reach) == ("denoise", 0, "deblur", 8)
    assert hazy.cases[0].load().truth is None
    pair = shaken.cases[0].load()
    assert pair.grey
    assert pair.input.shape == (72, 96, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("input\tgt\n", "expected the columns"),
        (HEADER, "no photos"),
        (HEADER + "a\tb\n", "line 2"),
        (HEADER + "a\t\tc\td\te\tf\tg\th\n", "line 2"),
    ],
)
def test_a_wrong_manifest_is_one_line(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "MANIFEST.tsv").write_text(text)
    with pytest.raises(MimditError, match=message):
        manifest_groups(tmp_path)


def test_two_folders_pair_by_name(tmp_path: Path) -> None:
    for folder, name in (("in", "a/one.jpg"), ("in", "two.png"), ("out", "a/one.png"), ("out", "two.png")):
        (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(some_photo(0)).save(tmp_path / folder / name)
    (group,) = folder_groups(tmp_path / "in", tmp_path / "out")
    assert [case.image for case in group.cases] == ["a/one.jpg", "two.png"]
    assert (group.dataset, group.variant) == ("in", "general")
    Image.fromarray(some_photo(0, height=70)).save(tmp_path / "out" / "two.png")
    with pytest.raises(PhotoError, match="size of its truth"):
        group.cases[1].load()
    (tmp_path / "out" / "two.png").unlink()
    with pytest.raises(PhotoError, match="found none"):
        folder_groups(tmp_path / "in", tmp_path / "out")


def test_selection_by_degradation_or_data_set(data: Path) -> None:
    groups = manifest_groups(data)
    chosen = select(groups, ["rain", "denoise_us"], limit=1)
    assert [(group.degradation, len(group.cases)) for group in chosen] == [("rain", 1), ("noise", 1)]
    with pytest.raises(MimditError, match=r"'fog'.*rain"):
        select(groups, ["fog"])


def test_large_photos_are_reduced_with_their_truth(tmp_path: Path) -> None:
    for folder in ("in", "out"):
        (tmp_path / folder).mkdir()
        Image.fromarray(some_photo(0, height=30, width=1500)).save(tmp_path / folder / "a.png")
    pair = folder_groups(tmp_path / "in", tmp_path / "out")[0].cases[0].load()
    assert pair.truth is not None
    assert pair.input.shape == pair.truth.shape == (20, LONG_SIDE, 3)


def test_alignment_finds_a_planted_shift() -> None:
    truth = some_photo(0)
    for shift in ((0, 0), (8, -8), (-3, 5)):
        photo, inner, found = aligned(np.roll(truth, shift, (0, 1)), truth, 8)
        assert found == shift
        assert np.array_equal(photo, inner)
        assert inner.shape == (56, 80, 3)
    with pytest.raises(PhotoError, match="more than 16 px"):
        aligned(truth[:16], truth[:16], 8)


@pytest.mark.parametrize("synthetic", SYNTHETIC, ids=lambda synthetic: synthetic.name)
def test_inputs_follow_from_names_alone(synthetic) -> None:
    photo = some_photo(0)
    first = degraded(photo, synthetic, "a")
    degraded(photo, synthetic, "b")
    assert np.array_equal(first, degraded(photo, synthetic, "a"))
    assert first.dtype == np.uint8
    assert psnr(first / 255, photo / 255) < 38  # visibly degraded


def test_rain_is_as_dense_as_asked() -> None:
    rain = next(synthetic for synthetic in SYNTHETIC if synthetic.name == "rain")
    reached = [psnr(degraded(some_photo(seed), rain, str(seed)) / 255, some_photo(seed) / 255) for seed in range(12)]
    low, high = RAIN_PSNR
    assert all(low <= db <= high for db in reached)
    assert max(reached) - min(reached) > 1  # all over the range, not at one place of it
