"""Strangers' bytes: a fixed number of fuzzed ones, mutated bundles loaded in a child process."""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from .crafted import reseal
from .source import ROOT

RUNS = 500
BUNDLES = 500


@pytest.mark.parametrize("target", ["photo", "manifest", "bundle"])
def test_fuzzed_bytes_end_in_a_result_or_one_line(target: str, crafted: Path, tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    if target == "photo":
        for suffix in ("png", "jpg", "tif", "webp", "bmp"):
            Image.new("RGB", (9, 7), "red").save(seeds / f"seed.{suffix}")
    else:
        shutil.copy(crafted / ("manifest.json" if target == "manifest" else "denoise-16.onnx"), seeds)
    command = [sys.executable, str(ROOT / "tests/fuzz/fuzz_mimdit.py"), target, f"-runs={RUNS}", "-seed=1", str(seeds)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


LOAD = """
import sys
import numpy as np
from mimdit.bundle import open_bundle
from mimdit.errors import MimditError
from mimdit.runtimes import open_runtime

outside = sys.argv[1]
opened = []
sys.addaudithook(lambda event, a: opened.append(str(a[0])) if event == "open" else None)
for line in sys.stdin:
    opened.clear()
    try:
        bundle = open_bundle(line.strip())
        runtime = open_runtime(bundle, bundle.variants[0], threads=1)
        tile = np.full((1, 3, runtime.tile, runtime.tile), 0.5, np.float32)
        runtime.run(tile, np.full((1, 3, 64, 64), 0.5, np.float32))
        word = "ran"
    except MimditError as error:
        word = "refused" if "\\n" not in str(error) else "two lines"
    if any(outside in path for path in opened):
        word = "opened a file outside"
    print(word, flush=True)
"""


def test_mutated_bundles_never_kill_the_parent(crafted: Path, tmp_path: Path) -> None:
    """500 mutations, half of them under true hashes, opened and run in a child: it runs, refuses, or dies alone."""
    rng = random.Random(1)
    (tmp_path / "outside.bin").write_bytes(bytes(12))
    sound = {path.name: path.read_bytes() for path in crafted.iterdir()}
    words: dict[str, int] = {}
    child = None
    for turn in range(BUNDLES):
        for name, content in sound.items():
            (crafted / name).write_bytes(content)
        sealed = bool(turn % 2)  # under true hashes, which the manifest is not under
        victim = rng.choice(["denoise-16.onnx", "weights.bin"] + ["manifest.json"] * (not sealed))
        data = bytearray(sound[victim])
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        (crafted / victim).write_bytes(data)
        if sealed:
            reseal(crafted)
        if child is None or child.poll() is not None:
            child = subprocess.Popen(
                [sys.executable, "-c", LOAD, "outside.bin"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        assert child.stdin is not None
        assert child.stdout is not None
        print(crafted, file=child.stdin, flush=True)
        word = child.stdout.readline().strip() or "died"
        words[word] = words.get(word, 0) + 1
        if word == "died":
            child.wait()
    assert child is not None
    child.kill()
    child.communicate()
    assert set(words) <= {"ran", "refused", "died"}, words
    assert min(words.get("ran", 0), words.get("refused", 0)) > 0, words
