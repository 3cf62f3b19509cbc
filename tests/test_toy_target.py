"""One more target is one file and one line in each registry: `toy_target.py`, and the two lines of this fixture."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mimdit.cli import _app
from mimdit.model.checkpoint import save_model
from mimdit.model.mimdit import MiMDiT

from . import toy_target
from .frozen import FROZEN_TILE, frozen


@pytest.fixture
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimdit.export.EXPORTERS", (toy_target.CONVERTER,))
    monkeypatch.setattr("mimdit.runtimes.RUNTIMES", (toy_target.RUNTIME,))
    monkeypatch.setattr("mimdit.quantize.QUANTIZERS", ())  # the toy goes by the name of a target that has one


@pytest.mark.usefixtures("_registered")
def test_a_toy_target_is_listed_built_verified_and_restores(lively: MiMDiT, tmp_path: Path) -> None:
    def run(*arguments: object) -> str:
        shown = CliRunner().invoke(_app, [str(argument) for argument in arguments])
        assert shown.exit_code == 0, shown.output
        return shown.stdout

    (row,) = json.loads(run("targets", "--json"))
    assert (row["target"], row["build"]["precisions"], row["run"]["precisions"]) == ("coreai", ["fp32"], ["fp32"])

    save_model(frozen(lively, "denoise"), tmp_path / "variants" / "denoise" / "model")
    bundle, photo, better = (tmp_path / name for name in ("toy.mimdit", "photo.png", "better.png"))
    options = ("--target", "coreai", "--variant", "denoise", "--tile", FROZEN_TILE)
    run("build", tmp_path / "variants", "-o", bundle, *options)
    assert "sub-experts in 1 models" in run("verify", bundle)

    pixels = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(photo)
    run("restore", photo, "-o", better, "--bundle", bundle)
    restored = np.asarray(Image.open(better))
    assert restored.shape == pixels.shape
    assert not np.array_equal(restored, pixels)
