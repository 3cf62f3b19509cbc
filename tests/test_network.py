"""Restoring, gating, benching and loading call nobody: run without a network, and any try ends the process."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .source import ROOT

# No way out of the process is left: what tries is named, and not even a caller that catches everything goes on.
JAILED = """
import os, sys

def refuse(event, arguments):
    if event.startswith(("socket.connect", "socket.getaddrinfo", "socket.gethostby", "socket.sendto", "urllib.")):
        os.write(2, f"a network call: {event} {arguments}".encode())
        os._exit(97)

sys.addaudithook(refuse)
sys.argv = sys.argv[1:]
if sys.argv[0] == "mimdit":
    from mimdit.cli import main
    main()
else:
    exec(sys.argv[0])
"""
LOAD = "import mimdit; mimdit.load_bundle(sys.argv[1])"


def _namespace() -> list[str]:
    """What starts a process in a network of its own, which has nothing in it: where Linux lets us, native code too
    finds nobody there. Elsewhere the hook alone is the jail."""
    command = ["unshare", "--map-root-user", "--net"]
    allowed = shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True).returncode == 0
    return command if allowed else []


@pytest.fixture(scope="module")
def namespace() -> list[str]:
    return _namespace()


def _run(namespace: list[str], *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*namespace, sys.executable, "-c", JAILED, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photos" / "photo.png")
    return tmp_path / "photos"


def test_restoring_and_loading_call_nobody(namespace: list[str], small: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    for arguments in (
        ("mimdit", "restore", photos / "photo.png", "-o", out, "--bundle", small, "--variant", "denoise"),
        ("mimdit", "explain", out, "--bundle", small, "--original", photos / "photo.png"),
        ("mimdit", "inspect", photos / "photo.png", "--bundle", small),
        ("mimdit", "info", small),
        (LOAD, small),
    ):
        done = _run(namespace, *arguments)
        assert done.returncode == 0, (arguments, done.stderr)


def test_benching_and_gating_call_nobody(namespace: list[str], small: Path, photos: Path, tmp_path: Path) -> None:
    run, base = tmp_path / "run.json", tmp_path / "base.json"
    measure = ("--photos", photos, "--truth", photos, "--samples", 2, "--threads", 1, "--variant", "general")
    for arguments in (
        ("mimdit", "bench", small, *measure, "-o", run),
        ("mimdit", "baseline", run, "-o", base, "--reason", "the first"),
        ("mimdit", "gate", run, "--baseline", base, "--only", "size,contents"),
    ):
        done = _run(namespace, *arguments)
        assert done.returncode == 0, (arguments, done.stderr)


def test_the_jail_holds(namespace: list[str]) -> None:
    for call in ("socket.create_connection(('127.0.0.1', 9))", "socket.getaddrinfo('example.org', 80)"):
        done = _run(namespace, f"import socket\ntry: {call}\nexcept BaseException: pass")
        assert (done.returncode, "a network call" in done.stderr) == (97, True), done.stderr
