"""An environment of its own: a venv that holds what a test installs and nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from mimdit.metrics import psnr

from .source import FOLDERS, ROOT


class Environment:
    """A fresh venv in `folder`, made by any Python."""

    def __init__(self, folder: Path, python: str = sys.executable):
        _run([python, "-m", "venv", str(folder)], folder.parent)
        self._bin = folder / ("Scripts" if os.name == "nt" else "bin")

    def install(self, *requirements: str) -> None:
        self.run("python", "-m", "pip", "install", "--quiet", *requirements)

    def run(self, program: str, *arguments: str) -> str:
        """Standard output of one of the environment's programs; AssertionError with all it said where it fails."""
        return _run([str(self._bin / program), *arguments], self._bin.parent)


def _run(command: list[str], folder: Path) -> str:
    """From a folder that is no checkout, so that only what is installed can be imported."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, f"{command} ended with {result.returncode}:\n{result.stdout}\n{result.stderr}"
    return result.stdout


def build_wheel(folder: Path) -> Path:
    """The project's wheel, built in `folder` from a copy: setuptools ships what older builds left in build/."""
    source = folder / "source"
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    _run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)], folder
    )
    (wheel,) = folder.glob("mimdit-*.whl")
    return wheel


def decibels_won(environment: Environment, folder: Path) -> float:
    """Restores a noisy photo by the environment's own `mimdit restore`; what it gained in PSNR."""
    y, x = np.mgrid[0:200, 0:300] / 300
    truth = np.stack([0.2 + 0.6 * x, 0.7 - 0.5 * y, 0.4 + 0.2 * np.sin(9 * x * y)], axis=2)
    noise = np.random.default_rng(0).normal(0, 25 / 255, truth.shape)
    before, after = folder / "before.png", folder / "after.png"
    Image.fromarray((np.clip(truth + noise, 0, 1) * 255).round().astype(np.uint8)).save(before)
    environment.run("mimdit", "restore", str(before), "-o", str(after), "--variant", "denoise")
    degraded, restored = (np.asarray(Image.open(path)) / 255 for path in (before, after))
    return psnr(restored, truth) - psnr(degraded, truth)
