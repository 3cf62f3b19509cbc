"""`mimdit bisect` for any target: a factor is put back by a bundle in between, and named if it costs."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mimdit.benchmarks.mixes import told_apart
from mimdit.bundle import write_bundle
from mimdit.manifest import Manifest, bundle_id
from mimdit.runtimes.base import Runtime, RuntimeSpec

from .small import small_manifest

GOOD = {"weights": "cd" * 32, "converter": "1.0", "plan": 1.0}
TILE = 64


class _GainRuntime(Runtime):
    """A target whose files hold one number, by which the tile is multiplied."""

    def __init__(self, path: Path, tile: int, threads: int | None = None):
        super().__init__("gain", "npu", tile)
        self._gain = np.float32(float(path.read_text()))

    def _run(self, image: np.ndarray, photo: np.ndarray) -> np.ndarray:
        return image * self._gain


@pytest.fixture(autouse=True)
def _only_that_target(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = RuntimeSpec(target="litert", requires=(), open=_GainRuntime)
    monkeypatch.setattr("mimdit.runtimes.RUNTIMES", (spec,))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photos that are their own truth, so that a gain of 1 is right."""
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    rows = ["input\ttruth\tdataset\tdegradation"]
    for i in range(3):
        Image.fromarray(rng.integers(60, 200, (40, 50, 3), np.uint8)).save(tmp_path / "photos" / f"{i}.png")
        rows.append(f"{i}.png\t{i}.png\tmade\tnoise")
    return tmp_path / "photos"


def a_bundle(path: Path, gain: float, **factors: object) -> Path:
    told = {**GOOD, **factors}
    base = small_manifest(("denoise",), dispatcher=False)
    block = base.models[0].plan.blocks[0].model_copy(update={"mass_kept": told["plan"]})
    plan = base.models[0].plan.model_copy(update={"blocks": (block,)})
    inputs = {"checkpoint": told["weights"], "target": "litert", "precision": "fp32"}
    inputs |= {"built_with": {"converter": told["converter"]}}
    models = (base.models[0].model_copy(update={"file": "denoise.gain", "plan": plan}),)
    content = {**dict(base), **inputs, "models": models}
    content["id"] = bundle_id(plans=[plan], tiles=[TILE], **inputs)  # pyright: ignore[reportArgumentType]
    write_bundle(path, Manifest.model_validate(content), partial(_fill, gain))
    return path


def _fill(gain: float, folder: Path) -> None:
    (folder / "denoise.gain").write_text(f"{gain:<10000}")  # as in life, the largest file is the one with the weights


def test_a_single_factor_is_named_at_once(run, tmp_path: Path, photos: Path) -> None:
    good, bad = a_bundle(tmp_path / "good.mimdit", 1.0), a_bundle(tmp_path / "bad.mimdit", 0.9, converter="2.0")
    found = run("bisect", good, bad, "--photos", photos, "--truth", photos)
    assert found.code == 0, found.err
    assert found.out.splitlines()[-1] == "It is the converter."


def test_weights_that_were_changed_behind_the_manifest_are_named(run, tmp_path: Path, photos: Path) -> None:
    good, bad = a_bundle(tmp_path / "good.mimdit", 1.0), a_bundle(tmp_path / "bad.mimdit", 0.9)
    found = run("bisect", good, bad, "--photos", photos, "--truth", photos)
    assert found.out.splitlines()[-1] == "It is the weights."
    same = run("bisect", good, good, "--photos", photos, "--truth", photos)
    assert (same.code, "do not differ" in same.err) == (2, True)


def test_several_stand_together_until_a_bundle_between_tells_them_apart(run, tmp_path: Path, photos: Path) -> None:
    """The new weights are to blame; the new converter came along."""
    good = a_bundle(tmp_path / "good.mimdit", 1.0)
    bad = a_bundle(tmp_path / "bad.mimdit", 0.9, weights="ab" * 32, converter="2.0")
    where = ("--photos", photos, "--truth", photos)
    together = run("bisect", good, bad, *where)
    assert together.out.splitlines()[-1] == "It is the weights + converter."
    assert "--between" in together.out

    healed = a_bundle(tmp_path / "healed.mimdit", 1.0, converter="2.0")
    found = json.loads(run("bisect", good, bad, "--between", healed, *where, "--json").out)
    assert found["culprit"] == "weights"
    by_name = {suspect["name"]: suspect for suspect in found["suspects"]}
    assert set(by_name) == {"weights", "converter"}
    assert by_name["weights"]["recovered"] == pytest.approx(found["good"] - found["bad"], abs=1e-3)
    assert by_name["converter"] == {"name": "converter", "recovered": None, "lost": 0.0}


def test_what_is_not_between_is_refused(run, tmp_path: Path, photos: Path) -> None:
    good = a_bundle(tmp_path / "good.mimdit", 1.0)
    bad = a_bundle(tmp_path / "bad.mimdit", 0.9, converter="2.0")
    stranger = a_bundle(tmp_path / "stranger.mimdit", 1.0, converter="3.0")
    found = run("bisect", good, bad, "--between", stranger, "--photos", photos, "--truth", photos)
    assert (found.code, "its converter is neither one's" in found.err) == (2, True)


def test_factors_that_every_mix_has_from_one_side_stand_together() -> None:
    three = ("weights", "plan", "precision")
    assert told_apart(three, [frozenset(three), frozenset()]) == [three]
    mixes = [frozenset(three), frozenset(), frozenset({"plan"}), frozenset({"plan", "weights"})]
    assert told_apart(three, mixes) == [("weights",), ("plan",), ("precision",)]
