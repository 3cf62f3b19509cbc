"""What goes to a device: mimdit's torch-free part, and wheels for the device's Python where it lacks the packages."""

import json
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import mimdit
from mimdit.benchmarks.devices.link import Link
from mimdit.errors import MimditError

__all__ = ["fill_kit", "wheel_platforms"]

# Training, export and the embedded bundle stay at home: a device gets the bundle that it measures.
_LEFT_OUT = ("model", "train", "export", "quantize", "default", "__pycache__")
_PACKAGES = ("numpy", "PIL", "pydantic", "onnxruntime", "typer", "rich")  # import names of the base dependencies

_ASK = (
    "import importlib.util as u, json, platform as p, sys; "
    f"print(json.dumps([all(map(u.find_spec, {_PACKAGES!r})), sys.version_info[:2], sys.platform, p.machine(), "
    "p.libc_ver()[0]]))"
)


def fill_kit(folder: Path, link: Link, python: str) -> None:
    """Puts the kit for a device into an empty folder. Raises MimditError where no wheels exist for its Python."""
    answer = link.check(f"{python} -c {shlex.quote(_ASK)}").splitlines()[-1]
    complete, version, system, machine, libc = json.loads(answer)
    if not complete:
        _add_wheels(folder, version, wheel_platforms(system, machine, libc))
    source = Path(mimdit.__file__).parent
    for part in sorted(source.iterdir()):
        if part.name in _LEFT_OUT:
            continue
        if part.is_dir():
            shutil.copytree(part, folder / "mimdit" / part.name, ignore=shutil.ignore_patterns(*_LEFT_OUT[-1:]))
        else:
            (folder / "mimdit").mkdir(exist_ok=True)
            shutil.copyfile(part, folder / "mimdit" / part.name)
    for part in ("runtimes", "benchmarks"):  # in an editable install without links these lie beside mimdit/
        if not (folder / "mimdit" / part).exists():
            shutil.copytree(source.parent / part, folder / "mimdit" / part)
    # So that importlib.metadata knows the version there.
    metadata = folder / f"mimdit-{mimdit.__version__}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mimdit\nVersion: {mimdit.__version__}\n")


def wheel_platforms(system: str, machine: str, libc: str) -> tuple[str, ...]:
    """pip's names for a device's platform, newest first. Raises MimditError for one that has no wheels.

    libc: "glibc" or another; Linux wheels are for glibc, Android's Termux and Alpine have others.
    """
    known = {
        ("linux", "aarch64"): ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"),
        ("linux", "x86_64"): ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
        ("darwin", "arm64"): ("macosx_14_0_arm64", "macosx_13_0_arm64", "macosx_11_0_arm64"),
    }
    if (system, machine) not in known or (system == "linux" and libc != "glibc"):
        kind = f"{system} on {machine}" if libc == "glibc" or system != "linux" else f"{system} without glibc"
        raise MimditError(f"no wheels for {kind}: install {', '.join(_PACKAGES)} on the device itself")
    return known[system, machine]


def _add_wheels(folder: Path, version: list[int], platforms: tuple[str, ...]) -> None:
    """Unpacks the base dependencies for that Python and platform into the folder."""
    wanted = [line for line in requires("mimdit") or () if "extra ==" not in line]
    where = [f"--platform={platform}" for platform in platforms]
    number = ".".join(map(str, version))
    command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), "--only-binary=:all:"]
    done = subprocess.run([*command, f"--python-version={number}", *where, *wanted], capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason"])[-1]
        raise MimditError(f"no wheels for Python {number} on {platforms[0]}: {last:.200}")
