"""The command line, run as a user runs it: files, exit codes, what goes to stdout and what to stderr."""

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mimdit import batch, bundle, example_photos, metrics
from mimdit.cli import COMMANDS, main
from mimdit.errors import PhotoError

KEYS = ["input", "output", "variant", "megapixels", "seconds", "runtime", "bundle", "error", "skipped", "audit"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two good photos at two depths, the second red, so that `auto` denoises it."""
    folder = tmp_path / "photos"
    (folder / "trip").mkdir(parents=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 100, (80, 100, 3), np.uint8)).save(folder / "one.png")
    Image.new("RGB", (70, 40), "red").save(folder / "trip" / "two.jpg")
    return folder


def test_one_photo_to_a_file_of_another_format(run, photos: Path, small: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "better.webp"
    done = run("restore", photos / "one.png", "-o", out, "--bundle", small, "--variant", "denoise", "--json")
    assert done.code == 0
    (row,) = done.rows
    assert list(row) == KEYS
    assert (row["variant"], row["runtime"], row["error"]) == ("denoise", "onnx/cpu", None)
    assert row["output"] == str(out)
    assert row["megapixels"] == 0.008
    with Image.open(out) as written:
        assert (written.format, written.size) == ("WEBP", (100, 80))


def test_a_folder_is_mirrored(run, photos: Path, small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("restore", photos, "-o", out, "--bundle", small)
    assert done.code == 0
    assert done.out == ""
    assert "2 of 2 photos restored" in done.err
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.*")) == ["one.png", "trip/two.jpg"]


def test_auto_none_copies_the_file_byte_for_byte(run, photos: Path, small: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((50, 60, 3), np.uint8)).save(photos / "dark.jpg", quality=50)
    done = run("restore", photos / "dark.jpg", "-o", tmp_path / "out.jpg", "--bundle", small, "--json")
    assert done.rows[0]["variant"] == "none"
    assert (tmp_path / "out.jpg").read_bytes() == (photos / "dark.jpg").read_bytes()


def test_bad_photos_do_not_stop_the_good_ones(run, photos: Path, small: Path, tmp_path: Path) -> None:
    (photos / "text.jpg").write_text("no photo")
    (photos / "empty.png").write_bytes(b"")
    inputs = (photos, tmp_path / "missing.jpg")
    done = run("restore", *inputs, "-o", tmp_path / "out", "--bundle", small, "--json")
    assert done.code == 1
    assert len(done.rows) == 5
    assert sum(row["error"] is None for row in done.rows) == 2
    summary = done.err[done.err.index("2 of 5 photos restored, 3 failed") :].splitlines()
    assert len(summary) == 4
    assert not any("Traceback" in text for text in (done.out, done.err))


@pytest.mark.parametrize("case", ["text", "empty", "missing", "no photos", "taken"])
def test_a_sole_bad_photo_is_one_line_and_exit_code_2(
    run, photos: Path, small: Path, tmp_path: Path, case: str
) -> None:
    source, out = photos / "bad.jpg", tmp_path / "out.jpg"
    if case == "text":
        source.write_text("no photo")
    elif case == "empty":
        source.write_bytes(b"")
    elif case == "no photos":
        source, out = tmp_path / "nothing", tmp_path / "out"
        source.mkdir()
    elif case == "taken":
        source = photos / "one.png"
        out.write_bytes(b"precious")
    done = run("restore", source, "-o", out, "--bundle", small)
    assert done.code == 2
    assert done.err.startswith("mimdit: ")
    assert done.err.count("\n") == 1
    assert case != "taken" or out.read_bytes() == b"precious"


def test_overwrite_replaces(run, photos: Path, small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    out.write_bytes(b"old")
    done = run("restore", photos / "one.png", "-o", out, "--bundle", small, "--variant", "deblur", "--overwrite")
    assert done.code == 0
    with Image.open(out) as written:
        assert written.size == (100, 80)


def test_a_damaged_bundle_stops_everything(run, photos: Path, small: Path, tmp_path: Path) -> None:
    model = small / "denoise-64.onnx"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    done = run("restore", photos, "-o", tmp_path / "out", "--bundle", small)
    assert done.code == 2
    assert done.err.startswith("mimdit: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "args",
    [
        ["restore"],
        ["restore", "x", "-o", "y", "--variant", "magic"],
        ["restore", "x", "-o", "y", "--threads", "0"],
        ["no"],
    ],
)
def test_wrong_usage_is_exit_code_2(run, args: list[str]) -> None:
    assert run(*args).code == 2


def test_a_command_without_its_packages_names_the_extra(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith(("mimdit.export", "mimdit.model"))]:
        monkeypatch.delitem(sys.modules, name)
    done = run("build", tmp_path, "-o", tmp_path / "out.mimdit")
    assert done.code == 2
    assert done.err == "mimdit: torch is not installed: run  pip install 'mimdit[onnx]'\n"


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["mimdit", "--debug", "restore", "missing.jpg", "-o", "out.gif"])
    with pytest.raises(PhotoError):
        main()


def test_a_plan_refuses_one_output_for_several(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="name a folder"):
        batch.plan([photos], tmp_path / "out.jpg")
    first, second = batch.plan([photos / "one.png", photos / "trip" / ".." / "one.png"], tmp_path / "out")
    assert first.output == tmp_path / "out" / "one.png"
    assert second.output is None
    assert "another folder" in str(second.error)


def test_a_plan_leaves_out_hidden_files_and_its_own_results(photos: Path) -> None:
    (photos / ".hidden.jpg").write_bytes(b"")
    (photos / "out").mkdir()
    (photos / "out" / "one.png").write_bytes(b"")
    jobs = batch.plan([photos], photos / "out")
    assert [job.input.name for job in jobs] == ["one.png", "two.jpg"]


def test_demo_writes_one_page_that_needs_nothing_else(
    run, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
    degraded = truth // 2
    folder = tmp_path / "examples"
    folder.mkdir()
    Image.fromarray(truth).save(folder / "t.png")
    Image.fromarray(degraded).save(folder / "d.png")
    entry = {"name": "A <b>", "degraded": "d.png", "truth": "t.png", "variant": "denoise", "credit": "Nobody & Co, CC0"}
    (folder / "examples.json").write_text(json.dumps([entry]))
    monkeypatch.setattr(example_photos, "EXAMPLES", folder)
    monkeypatch.setattr(bundle, "default_bundle_path", lambda: small)

    done = run("demo", "--out", tmp_path / "pages", "--json")
    assert done.code == 0
    result = done.rows[0]
    (row,) = result["photos"]
    assert row["input_psnr"] == row["psnr"] == round(metrics.psnr(degraded / 255, truth / 255), 2)
    page = Path(result["page"]).read_text()
    assert "A &lt;b&gt;" in page
    assert "Nobody &amp; Co" in page
    assert page.count("data:image/jpeg;base64,") == 2
    assert not any(word in page for word in ("http:", "https:", "//cdn", "@import", "$"))

    table = run("demo", "--out", tmp_path / "pages")
    assert table.code == 0
    assert "before dB" in table.out
    assert result["page"] in table.out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_table_tells_what_the_commands_say(name: str) -> None:
    module, function = COMMANDS[name].function.split(":")
    doc = inspect.getdoc(getattr(importlib.import_module(module), function))
    assert doc is not None
    assert doc.splitlines()[0] == COMMANDS[name].help


def test_help_names_all_commands_and_imports_nothing_heavy() -> None:
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "mimdit", "--help"], capture_output=True, text=True, check=True
    )
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in shown.stderr.splitlines()}
    assert not imported & {"numpy", "PIL", "onnxruntime", "torch"}
    assert all(name in shown.stdout for name in COMMANDS)


def test_restoring_imports_no_torch(photos: Path, small: Path, tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from mimdit.cli import main; main()"
    args = ["restore", photos / "one.png", "-o", tmp_path / "out.png", "--bundle", small]
    subprocess.run([sys.executable, "-c", code, *map(str, args)], check=True, capture_output=True)
    assert (tmp_path / "out.png").exists()
