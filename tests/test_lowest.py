"""The lower ends of the base dependencies' ranges, all at once, on the oldest Python that can be found here."""

import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import tomllib

from .environment import Environment, build_wheel, decibels_won
from .source import ROOT

pytestmark = pytest.mark.install

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OLDEST = PROJECT["requires-python"].removeprefix(">=")


def oldest_python() -> str:
    """python3.10, or this test's own Python with a warning that says so."""
    python = shutil.which(f"python{OLDEST}")
    # pyenv puts a stand-in on PATH for every version that it knows, whether it is switched on or not.
    if python is None or subprocess.run([python, "--version"], capture_output=True).returncode:
        running = ".".join(map(str, sys.version_info[:2]))
        warnings.warn(f"no python{OLDEST} on PATH: the lowest versions were tried on {running} instead", stacklevel=2)
        return sys.executable
    return python


def lower_ends() -> list[str]:
    """`numpy>=1.26` → `numpy==1.26`, for every base dependency."""
    ranges = [re.fullmatch(r"([a-z]+)>=([0-9.]+)", line) for line in PROJECT["dependencies"]]
    assert all(ranges), "a base dependency is one name with one lower end"
    return [f"{found[1]}=={found[2]}" for found in ranges if found]


@pytest.fixture(scope="module")
def lowest(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("lowest")
    environment = Environment(folder / "venv", oldest_python())
    environment.install(str(build_wheel(folder)), *lower_ends())
    return environment


def test_restores_a_photo(lowest: Environment, tmp_path: Path) -> None:
    assert decibels_won(lowest, tmp_path) > 3


def test_the_command_line_works(lowest: Environment) -> None:
    assert "restore" in lowest.run("mimdit", "--help")
    assert "--variant" in lowest.run("mimdit", "restore", "--help")
    assert "denoise" in lowest.run("mimdit", "info")
