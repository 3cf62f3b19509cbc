"""Fixtures that several test files share."""

import json
import os
import random
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from mimdit.bundle import write_bundle
from mimdit.cli import main

from .crafted import crafted_files, crafted_manifest
from .small import fill_small, small_manifest

if TYPE_CHECKING:
    from mimdit.model.mimdit import MiMDiT


class Outcome:
    """What a command line ended with: exit code, both outputs, the JSON objects of stdout."""

    def __init__(self, code: int, out: str, err: str):
        self.code, self.out, self.err = code, out, err

    @property
    def rows(self) -> list:
        return [json.loads(line) for line in self.out.splitlines() if line.startswith("{")]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Runs `mimdit` with arguments, in this process."""

    def run(*args: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["mimdit", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        code = ended.value.code
        return Outcome(code if isinstance(code, int) else int(code is not None), captured.out, captured.err)

    return run


# Run by test_apart.py, each in a process of its own; by hand with MIMDIT_APART=1 and -n 0.
APART = (
    "test_coreai.py",
    "test_executorch.py",
    "test_faults.py",
    "test_fp16_lint.py",
    "test_identity.py",
    "test_latency_targets.py",
    "test_mil.py",
    "test_quantize_coreai.py",
    "test_quantize_coreml.py",
    "test_quantize_executorch.py",
    "test_quantize_tensorrt.py",
    "test_targets.py",
    "test_tensorrt.py",
    "test_toy_target.py",
)
collect_ignore = [] if os.environ.get("MIMDIT_APART") else list(APART)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Every test starts from the same random state, alone or in company."""
    random.seed(0)
    np.random.seed(0)
    if torch := sys.modules.get("torch"):  # the torch-free tests stay so
        torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory):
    """No test reads a verdict on a unit, or an engine, that an earlier run left. pip keeps its own cache."""
    pip = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pip"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_CACHE_DIR", os.environ.get("PIP_CACHE_DIR", str(pip)))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def one_thread():
    """Bits are promised for equal threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def nano() -> "MiMDiT":
    """An untrained network of the smallest preset. Shared: tests must not change it."""
    import torch

    from mimdit.config import preset
    from mimdit.model.mimdit import MiMDiT

    torch.manual_seed(0)
    return MiMDiT.from_preset(preset("nano")).eval()


@pytest.fixture(scope="session")
def lively(nano: "MiMDiT") -> "MiMDiT":
    """The same with every weight moved a little, so that no zero-initialised layer hides what lies before it."""
    import copy

    import torch

    generator = torch.Generator().manual_seed(0)
    model = copy.deepcopy(nano)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    return model


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos of 160×144 px for training: soft colours, hard edges, fine grain."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(6):
        soft = Image.fromarray(rng.integers(40, 216, (4, 5, 3), dtype=np.uint8))
        photo = np.asarray(soft.resize((160, 144), Image.Resampling.BICUBIC)).astype(np.int16)
        for _ in range(5):
            y, x = rng.integers(0, 112, 2)
            photo[y : y + rng.integers(8, 48), x : x + rng.integers(8, 48)] += rng.integers(-60, 60, 3, dtype=np.int16)
        photo[::3, ::2] += 6
        Image.fromarray(photo.clip(0, 255).astype(np.uint8)).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def colourful_photos(tmp_path: Path) -> Path:
    """Three photos of 300×280 px, large enough for whole tiles."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        small = np.random.default_rng(i).integers(30, 226, (12, 12, 3), np.uint8)
        Image.fromarray(small).resize((300, 280), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def crafted(tmp_path: Path) -> Path:
    """The folder of a sound bundle."""
    folder = tmp_path / "crafted.mimdit"
    write_bundle(folder, crafted_manifest(), crafted_files)
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The folder of a bundle with three variants and a dispatcher, which the tiler can run."""
    folder, manifest = tmp_path / "small.mimdit", small_manifest()
    write_bundle(folder, manifest, partial(fill_small, manifest))
    return folder


@pytest.fixture
def every_change_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that `auto` uses variants which change nothing, as those of the `small` bundle."""
    monkeypatch.setattr("mimdit.runtimes.restore.is_seen", lambda before, after: True)
