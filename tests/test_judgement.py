"""Judging photos: what can be measured in one, what `inspect` suggests, and where `audit` sees something added."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mimdit import judgement
from mimdit.degrade import degrade, jpeg
from mimdit.judgement import Facts, facts
from mimdit.runtimes.audit import WINDOW, audit
from mimdit.runtimes.inspection import suggestion
from mimdit.targets import Degradation

EXAMPLES = Path(__file__).parent.parent / "mimdit" / "examples"
CLEAN = [np.asarray(Image.open(EXAMPLES / f"{name}.png").convert("RGB")) for name in ("juniper", "lake", "moon")]


def test_noise_is_told_in_levels() -> None:
    for sigma in (5, 15, 30):
        noisy = np.random.default_rng(0).normal(128, sigma, (256, 256, 3)).clip(0, 255).astype(np.uint8)
        assert judgement.noise(noisy) == pytest.approx(sigma, rel=0.12)
    assert judgement.noise(np.zeros((2, 2, 3), np.uint8)) == 0


@pytest.mark.parametrize("clean", CLEAN, ids=["juniper", "lake", "moon"])
def test_jpeg_shows_in_the_blocks(clean: np.ndarray) -> None:
    unit = clean[:256, :256].astype(np.float32) / 255
    assert judgement.blockiness(unit) < 1.15 < judgement.blockiness(jpeg(unit, 30))


def test_haze_lifts_what_is_dark() -> None:
    unit = CLEAN[1][:256, :256].astype(np.float32) / 255
    assert judgement.haze(unit * 0.4 + 0.6) > judgement.haze(unit) + 0.2


def test_exposure_and_its_ends() -> None:
    photo = np.zeros((100, 100, 3), np.uint8)
    photo[:25] = 255
    found = facts(photo)
    assert (found.exposure, found.black, found.white) == (0.25, 0.75, 0.25)
    assert facts(np.full((1, 1, 3), 65535, np.uint16)).white == 1


def test_suggestions_name_the_variant_and_what_speaks_against_it() -> None:
    quiet = Facts(noise=1, blockiness=1, haze=0.2, exposure=0.4, black=0, white=0)
    assert suggestion((), quiet).endswith("leaves the photo as it is.")
    assert "haze and noise" not in suggestion(("denoise", "dehaze"), quiet)
    assert "noise and haze: --variant auto uses denoise, then dehaze." in suggestion(("denoise", "dehaze"), quiet)
    noisy = Facts(noise=20, blockiness=1, haze=0.2, exposure=0.1, black=0, white=0)
    assert "noise is about 20 of 255 levels: try --variant denoise" in suggestion((), noisy)
    assert "try --variant denoise" not in suggestion(("denoise",), noisy)
    assert "try --variant lowlight" in suggestion(("denoise",), noisy)


def test_inspect_prints_words_and_json(run, small: Path, tmp_path: Path, every_change_is_seen: None) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (90, 70), "red").save(path)
    words = run("inspect", path, "--bundle", small)
    assert words.code == 0
    assert "--variant auto uses denoise." in words.out
    (row,) = run("inspect", path, "--bundle", small, "--json").rows
    assert row["variants"] == ["denoise"]
    assert row["scores"]["denoise"] == 1
    assert row["facts"]["exposure"] == pytest.approx(0.213, abs=1e-3)
    assert run("inspect", tmp_path / "missing.png", "--bundle", small).code == 2


KINDS: tuple[Degradation, ...] = ("noise", "sensor", "blur", "haze", "rain", "lowlight", "jpeg")


def test_pasted_texture_is_the_top_region_in_19_of_20_photos() -> None:
    """The truth stands for a perfect restoration, texture of another photo is pasted into one region of it.

    Not for blur: the truth itself holds what a blurred photo does not. Restored by the default bundle of November 2026,
    blur included, it was 19 of 20 photos of 512×512 px.
    """
    kinds: list[Degradation] = [kind for kind in KINDS if kind != "blur"]
    rng = np.random.default_rng(0)
    hits = 0
    for i in range(20):
        truth = CLEAN[i % 3].astype(np.float32) / 255
        before = degrade(truth, kinds[i % len(kinds)], rng).image
        texture = CLEAN[(i + 1) % 3][:WINDOW, :WINDOW].astype(np.float32) / 255
        texture = texture + rng.normal(0, 0.1, texture.shape).astype(np.float32)
        texture = (texture - texture.mean((0, 1))) * (16 / 255 / texture.std())
        top, left = (int(rng.integers(0, side - WINDOW)) for side in truth.shape[:2])
        after = truth.copy()
        place = np.s_[top : top + WINDOW, left : left + WINDOW]
        after[place] = np.clip(after[place].mean((0, 1)) + texture, 0, 1)
        found = audit(before, after)
        hits += abs(found.top - top) <= WINDOW // 2 and abs(found.left - left) <= WINDOW // 2
    assert hits >= 19


@pytest.mark.parametrize("kind", KINDS)
def test_a_faithful_restoration_adds_little(kind: Degradation) -> None:
    truth = CLEAN[1][:256, :320].astype(np.float32) / 255
    assert audit(degrade(truth, kind, np.random.default_rng(1)).image, truth).typical < 2


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (64, 64), (130, 70)])
def test_audit_of_any_size(size: tuple[int, int]) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    assert audit(photo, photo).added == 0


def test_restore_writes_the_map(run, small: Path, tmp_path: Path) -> None:
    photo, out = tmp_path / "photo.png", tmp_path / "out.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 150, 3), np.uint8)).save(photo)
    done = run("restore", photo, "-o", out, "--bundle", small, "--variant", "denoise", "--audit", "--json")
    assert done.code == 0
    assert json.loads(done.out)["audit"]["map"] == f"{out}.audit.png"
    assert "most was added at" in done.err
    with Image.open(f"{out}.audit.png") as shown:
        assert shown.mode == "L"
