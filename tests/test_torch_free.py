"""What an app or a device installs: the wheel and its base dependencies, in an environment of their own."""

import json
import zipfile
from pathlib import Path

import pytest

from .environment import Environment, build_wheel, decibels_won
from .source import FOLDERS, ROOT

pytestmark = pytest.mark.install

HEAVY = ("torch", "diffusers", "accelerate", "safetensors", "matplotlib", "onnx", "onnxscript")
DEFAULT_BUNDLE_LIMIT = 24.5e6  # bytes


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Base dependencies only, no extra."""
    environment = Environment(tmp_path_factory.mktemp("base") / "venv")
    environment.install(str(wheel))
    return environment


def test_the_wheel_holds_every_file_under_one_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if ".dist-info/" not in name}
        default = sum(entry.file_size for entry in archive.infolist() if entry.filename.startswith("mimdit/default/"))
    folders = [ROOT / folder for folder in FOLDERS]
    files = [p for f in folders for p in f.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    written = {path.relative_to(ROOT).as_posix() for path in files if not path.is_symlink()}
    assert shipped == {name if name.startswith("mimdit/") else f"mimdit/{name}" for name in written}
    assert default <= DEFAULT_BUNDLE_LIMIT


def test_torch_is_absent(base: Environment) -> None:
    installed = {package["name"] for package in json.loads(base.run("python", "-m", "pip", "list", "--format=json"))}
    assert "mimdit" in installed
    assert not installed & set(HEAVY)
    find = f"import importlib.util as u; print([name for name in {HEAVY!r} if u.find_spec(name)])"
    assert base.run("python", "-c", find).strip() == "[]"


def test_restores_a_photo(base: Environment, tmp_path: Path) -> None:
    assert decibels_won(base, tmp_path) > 3


def test_restores_an_array(base: Environment) -> None:
    script = (
        "import numpy, mimdit\n"
        "photo = numpy.full((40, 30, 3), 128, numpy.uint8)\n"
        "better = mimdit.restore(photo, mimdit.load_bundle())\n"
        "print(better.shape, better.dtype)"
    )
    assert base.run("python", "-c", script).split() == ["(40,", "30,", "3)", "uint8"]


def test_the_command_line_works(base: Environment, tmp_path: Path) -> None:
    assert "restore" in base.run("mimdit", "--help")
    assert "denoise" in base.run("mimdit", "info")
    base.run("mimdit", "verify")
    base.run("mimdit", "demo", "--out", str(tmp_path))
    assert (tmp_path / "mimdit-demo.html").is_file()
