"""A folder of photos: several at once, resumed after a kill, ended by Ctrl-C, within a memory limit."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mimdit.benchmarks.folder import measure
from mimdit.cli.choices import byte_size, tile_size, window
from mimdit.errors import MimditError, PhotoError
from mimdit.runtimes.many_photos import in_order
from mimdit.runtimes.memory import FIXED, PIXEL, Memory
from mimdit.runtimes.tiler import Window, tile_count

PHOTOS = 6
SLOW = """
import sys, time
from mimdit.runtimes.onnx import OnnxRuntime

real = OnnxRuntime._run

def slow(self, image, photo):
    time.sleep(0.02)
    return real(self, image, photo)

OnnxRuntime._run = slow
from mimdit.cli import main
sys.argv = ["mimdit", *sys.argv[1:]]
main()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photos at two depths, of two tiles by three at 64 px."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(PHOTOS):
        pixels = rng.integers(0, 256, (100, 150, 3), np.uint8)
        Image.fromarray(pixels).save(folder / ("deep" if i % 2 else "") / f"{i}.png")
    return folder


def command(folder: Path, bundle: Path, out: Path, *more: str) -> list[str]:
    arguments = ["restore", str(folder), "-o", str(out), "--bundle", str(bundle), "--variant", "denoise", *more]
    return [sys.executable, "-c", SLOW, *arguments]


def complete(out: Path) -> int:
    """How many outputs there are; AssertionError unless all of them are whole."""
    found = [path for path in out.rglob("*") if path.is_file() and not path.name.startswith(".mimdit-")]
    for path in found:
        with Image.open(path) as image:
            image.load()
            assert image.size == (150, 100)
    return len(found)


def test_killed_at_random_moments_only_whole_files_are_left(folder: Path, small: Path, tmp_path: Path) -> None:
    """kill -9 whenever; the rerun with --skip-done finishes the rest. By hand: MIMDIT_KILLS=50."""
    rng = random.Random(0)
    kills = int(os.environ.get("MIMDIT_KILLS", "3"))
    seen = set()
    for turn in range(kills):
        out = tmp_path / f"out{turn}"
        process = subprocess.Popen(command(folder, small, out), stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        if turn % 2:  # after a photo is reported the next ones are in work
            process.stderr.readline()
        time.sleep(rng.uniform(0, 0.5))
        process.kill()
        process.communicate()
        seen.add(complete(out))
        done = subprocess.run(command(folder, small, out, "--skip-done"), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert complete(out) == PHOTOS
    assert len(seen) > 1, f"every kill came at the same stage: {seen}"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_ctrl_c_ends_with_a_summary_and_nothing_half(folder: Path, small: Path, tmp_path: Path) -> None:
    out, rows = tmp_path / "out", tmp_path / "rows.jsonl"
    with rows.open("w") as file:
        process = subprocess.Popen(
            command(folder, small, out, "--json"), stdout=file, stderr=subprocess.PIPE, text=True
        )
    while not rows.read_text():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    words = process.communicate()[1]
    assert process.returncode == 130
    assert "Traceback" not in words
    whole = complete(out)
    assert 1 <= whole < PHOTOS
    assert f"{whole} of {PHOTOS} photos restored, 0 failed, {PHOTOS - whole} not begun" in words
    assert len(rows.read_text().splitlines()) == whole
    assert not list(out.rglob(".mimdit-*"))


def test_done_photos_are_skipped_and_counted(run, folder: Path, small: Path, tmp_path: Path) -> None:
    arguments = ("restore", folder, "-o", tmp_path / "out", "--bundle", small, "--skip-done", "--json")
    assert run(*arguments).code == 0
    (tmp_path / "out" / "deep" / "3.png").unlink()
    (folder / "bad.jpg").write_text("no photo")
    again = run(*arguments)
    assert again.code == 1
    assert [row["input"].endswith("3.png") for row in again.rows if not row["skipped"] and row["error"] is None] == [
        True
    ]
    assert f"1 of {PHOTOS + 1} photos restored, 1 failed, {PHOTOS - 1} done already" in again.err


def test_rows_come_in_the_order_of_the_inputs(run, folder: Path, small: Path, tmp_path: Path) -> None:
    done = run("restore", folder, "-o", tmp_path / "out", "--bundle", small, "--jobs", "4", "--json")
    names = [row["input"] for row in done.rows]
    assert names == [str(folder / f"{i}.png") for i in (0, 2, 4)] + [
        str(folder / "deep" / f"{i}.png") for i in (1, 3, 5)
    ]


def test_a_preview_is_that_part_of_the_result(run, folder: Path, small: Path, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.png", tmp_path / "part.png"
    arguments = ("--bundle", small, "--variant", "denoise")
    assert run("restore", folder / "0.png", "-o", whole, *arguments).code == 0
    assert run("restore", folder / "0.png", "-o", part, *arguments, "--preview", "30,20,70,60").code == 0
    assert np.array_equal(np.asarray(Image.open(part)), np.asarray(Image.open(whole))[20:80, 30:100])


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--preview", "1,2,3", "X,Y,WIDTH,HEIGHT"),
        ("--preview", "100,0,70,10", "not inside the photo of 150×100"),
        ("--max-memory", "lots", "600M or 1.5G"),
        ("--max-memory", "250M", "raise --max-memory"),
        ("--max-megapixels", "0.01", "raise --max-megapixels"),
        ("--tile", "big", "a number of pixels"),
        ("--tile", "128", "has no variant denoise at tile 128: it has denoise at 64"),
        ("--strength", "1.5", "strength"),
    ],
)
def test_what_cannot_be_is_one_line(
    run,
    folder: Path,
    small: Path,
    tmp_path: Path,
    option: str,
    value: str,
    words: str,
) -> None:
    arguments = ("--bundle", small, "--variant", "denoise", option, value)
    done = run("restore", folder / "0.png", "-o", tmp_path / "out.png", *arguments)
    assert done.code == 2
    assert words in done.err
    assert not (tmp_path / "out.png").exists()


def test_choices() -> None:
    assert [byte_size(text) for text in ("600M", "1.5g", "20", "2GB")] == [
        600_000_000,
        1_500_000_000,
        20,
        2_000_000_000,
    ]
    assert byte_size(None) is window(None) is tile_size("auto") is None
    assert tile_size("512") == 512
    assert window("1, 2,30,40") == Window(top=2, left=1, height=40, width=30)
    with pytest.raises(MimditError):
        byte_size("-5M")


def test_work_goes_in_order_and_several_at_once() -> None:
    together = threading.Barrier(3, timeout=20)

    def work(item: int) -> int:
        together.wait()  # passes only with three at once
        time.sleep(0.01 * (item % 3))
        return item

    assert list(in_order(work, range(9), 3, threading.Event())) == list(range(9))


def test_a_fatal_error_stops_the_others() -> None:
    stop, begun = threading.Event(), []

    def work(item: int) -> int:
        begun.append(item)
        if item == 2:
            raise PhotoError("fatal")
        return item

    with pytest.raises(PhotoError):
        list(in_order(work, range(100), 2, stop))
    assert stop.is_set()
    assert len(begun) < 20


def test_photos_wait_until_there_is_room() -> None:
    memory = Memory(FIXED + 3 * PIXEL * 100)
    inside, most = [], []

    def work(item: int) -> None:
        with memory.room() as admit:
            admit(10, 10)
            inside.append(item)
            most.append(len(inside))
            time.sleep(0.01)
            inside.remove(item)

    list(in_order(work, range(20), 8, threading.Event()))
    assert max(most) == 3
    with memory.room() as admit, pytest.raises(PhotoError, match="raise --max-memory"):
        admit(20, 20)
    with Memory().room() as admit:
        admit(10**6, 10**6)


def test_a_folder_is_measured_against_the_bare_runtime(small: Path) -> None:
    """That it runs and counts; the figure itself is for a quiet machine."""
    found = measure(3, small, 100, 2, 2)
    assert found["tiles_per_photo"] == tile_count(100, 100, 64, 16, align=False)
    assert found["photos_per_second"] > 0
