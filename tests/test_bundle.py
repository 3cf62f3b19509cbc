"""A bundle written is a bundle opened: manifest, card, id, the two commands, and nothing half done."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import typer
from pydantic import ValidationError
from typer.testing import CliRunner

import mimdit
from mimdit.bundle import CHECK_NAMES, default_bundle_path, open_bundle, write_bundle
from mimdit.card import card
from mimdit.cli.info import info
from mimdit.cli.verify import verify
from mimdit.errors import BundleError, MimditError
from mimdit.manifest import Manifest, Parity, bundle_id, parse_manifest

from .crafted import CRAFTED_TILE, GAIN, crafted_files, crafted_manifest, crafted_plan

INPUTS = {
    "checkpoint": "cd" * 32,
    "plans": [crafted_plan("denoise"), crafted_plan("derain")],
    "target": "onnx",
    "precision": "fp32",
    "tiles": [256, 512],
    "built_with": {"torch": "2.13.0", "onnx": "1.23"},
}


def changed(**changes: object) -> Manifest:
    return Manifest.model_validate({**crafted_manifest().model_dump(), **changes})


# --- writing and opening


def test_opens_what_was_written(crafted: Path) -> None:
    bundle = mimdit.load_bundle(crafted)
    manifest = bundle.manifest
    assert bundle.variants == ("denoise", "deblur")
    assert {file.path for file in manifest.files} == {path.name for path in crafted.iterdir()} - {"manifest.json"}
    assert manifest.model_copy(update={"files": ()}) == crafted_manifest()
    assert bundle.entry("deblur") is bundle.entry("deblur", CRAFTED_TILE)
    assert bundle.file("weights.bin").read_bytes() == GAIN.tobytes()


def test_shared_weights_run_in_onnx_runtime(crafted: Path) -> None:
    bundle = open_bundle(crafted)
    session = onnxruntime.InferenceSession(bundle.file(bundle.entry("denoise").file))
    image = np.full((1, 3, CRAFTED_TILE, CRAFTED_TILE), 0.5, np.float32)
    (restored,) = session.run(None, {"image": image, "photo": np.zeros((1, 3, 64, 64), np.float32)})
    np.testing.assert_array_equal(restored, image * GAIN)


def test_the_path_may_be_a_link_that_the_caller_chose(crafted: Path, tmp_path: Path) -> None:
    link = tmp_path / "latest.mimdit"
    link.symlink_to(crafted, target_is_directory=True)
    assert open_bundle(link).path == crafted.resolve()


def test_unknown_variants_tiles_and_files_are_named(crafted: Path) -> None:
    bundle = open_bundle(crafted)
    with pytest.raises(BundleError, match="no variant dehaze: it has denoise at 16, deblur at 16"):
        bundle.entry("dehaze")
    with pytest.raises(BundleError, match="no variant denoise at tile 512"):
        bundle.entry("denoise", 512)
    with pytest.raises(BundleError, match="lists no file"):
        bundle.file("../secret")


def test_the_default_bundle_lies_in_the_package() -> None:
    assert default_bundle_path() == Path(mimdit.__file__).parent / "default" / "default.mimdit"


def test_a_folder_may_be_a_model(tmp_path: Path) -> None:
    """Core ML's .mlpackage is a folder: the manifest names it, the files in it are listed."""

    def fill(folder: Path) -> None:
        crafted_files(folder)
        for variant in ("denoise", "deblur"):
            package = folder / f"{variant}.mlpackage" / "Data"
            package.mkdir(parents=True)
            (folder / f"{variant}-{CRAFTED_TILE}.onnx").rename(package / "model.mlmodel")

    models = [{**model.model_dump(), "file": f"{model.variant}.mlpackage"} for model in crafted_manifest().models]
    write_bundle(tmp_path / "a.mimdit", changed(models=models), fill)
    bundle = open_bundle(tmp_path / "a.mimdit")
    assert bundle.file(bundle.entry("denoise").file).is_dir()


def test_overwrites_bundles_only(crafted: Path, tmp_path: Path) -> None:
    with pytest.raises(MimditError, match="exists already"):
        write_bundle(crafted, crafted_manifest(), crafted_files)
    write_bundle(crafted, changed(name="second"), crafted_files, overwrite=True)
    assert open_bundle(crafted).manifest.name == "second"

    photos = tmp_path / "photos.mimdit"
    photos.mkdir()
    (photos / "holiday.jpg").write_bytes(b"precious")
    with pytest.raises(BundleError, match="is no bundle"):
        write_bundle(photos, crafted_manifest(), crafted_files, overwrite=True)
    with pytest.raises(BundleError, match=r"end in \.mimdit"):
        write_bundle(tmp_path / "photos", crafted_manifest(), crafted_files)
    assert (photos / "holiday.jpg").exists()


def test_what_would_not_open_is_not_written(tmp_path: Path) -> None:
    def poisoned(folder: Path) -> None:
        crafted_files(folder)
        (folder / "weights.bin").write_bytes(np.array([1, np.nan, 1], np.float32).tobytes())

    def odd_name(folder: Path) -> None:
        crafted_files(folder)
        (folder / "read me").write_bytes(b"")

    fills = {
        "NaN or infinity": poisoned,
        "expected a relative path": odd_name,
        "not listed in files": lambda folder: None,
    }
    for message, fill in fills.items():
        with pytest.raises(BundleError, match=message):
            write_bundle(tmp_path / "out.mimdit", crafted_manifest(), fill)
    assert os.listdir(tmp_path) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from mimdit.bundle import write_bundle
from mimdit.manifest import parse_manifest

old = Path(sys.argv[1])
manifest = parse_manifest((old / "manifest.json").read_bytes())

def fill(folder):
    (folder / "weights.bin").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)

write_bundle(old, manifest.model_copy(update={"files": ()}), fill, overwrite=True)
"""


def test_killed_while_building(crafted: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(crafted)], check=False)
    assert done.returncode == -signal.SIGKILL
    open_bundle(crafted)
    write_bundle(crafted, changed(name="second"), crafted_files, overwrite=True)
    assert open_bundle(crafted).manifest.name == "second"


# --- the manifest


def test_the_id_follows_from_what_goes_in() -> None:
    first = bundle_id(**INPUTS)
    shuffled = {
        "plans": INPUTS["plans"][::-1],
        "tiles": [512, 256, 512],
        "built_with": {"onnx": "1.23", "torch": "2.13.0"},
    }
    assert bundle_id(**{**INPUTS, **shuffled}) == first
    others = {
        "checkpoint": "ef" * 32,
        "plans": [crafted_plan("denoise")],
        "target": "openvino",
        "precision": "fp16",
        "tiles": [256],
        "built_with": {"torch": "2.13.1", "onnx": "1.23"},
    }
    assert len({first} | {bundle_id(**{**INPUTS, key: value}) for key, value in others.items()}) == 1 + len(others)


def test_the_id_is_checked() -> None:
    with pytest.raises(ValidationError, match="does not follow from the content"):
        changed(precision="fp16")


@pytest.mark.parametrize(
    ("parity", "message"),
    [
        ({"status": "passed"}, "needs max_error"),
        ({"status": "passed", "max_error": 0.1, "mean_error": 0.1, "tolerance": 0.01}, "cannot have passed"),
        ({"status": "not measured"}, "needs a reason"),
        ({"status": "passed", "max_error": float("inf"), "mean_error": 0.0, "tolerance": 1.0}, "finite"),
    ],
)
def test_parity_says_what_was_seen(parity: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Parity(**parity)


def test_parts_that_contradict_each_other() -> None:
    models = [model.model_dump() for model in crafted_manifest().models]
    with pytest.raises(ValidationError, match="listed twice at one tile size"):
        changed(models=[models[0], models[0]])
    with pytest.raises(ValidationError, match="plan is for denoise"):
        changed(models=[{**models[0], "variant": "derain"}])
    with pytest.raises(ValidationError, match="more than half"):
        changed(tile_overlap=9)


def test_manifests_survive_json(crafted: Path) -> None:
    text = (crafted / "manifest.json").read_bytes()
    assert parse_manifest(text).model_dump_json(indent=2) + "\n" == text.decode()


# --- the card and the commands


def test_the_card_shows_the_tables(crafted: Path) -> None:
    text = (crafted / "CARD.md").read_text()
    assert text.startswith("# crafted\n")
    assert "| denoise | noise | none | 1 | 20.00 | 25.50 | +5.50 |" in text


def test_the_card_escapes_what_markdown_would_read() -> None:
    rows = [{**crafted_manifest().accuracy[0].model_dump(), "dataset": "a|b <img src=x> [l](http://e)"}]
    assert r"a\|b \<img src=x\> \[l\](http://e)" in card(changed(accuracy=rows))


def run(command, *arguments: str):
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(arguments))


def test_info(crafted: Path) -> None:
    shown = run(info, str(crafted))
    assert shown.exit_code == 0
    for words in ("crafted", "onnx fp32", "max error 1.0e-06", "+5.50", crafted_manifest().id):
        assert words in shown.stdout
    as_json = run(info, str(crafted), "--json")
    assert parse_manifest(as_json.stdout.encode()) == open_bundle(crafted).manifest


def test_verify(crafted: Path) -> None:
    shown = run(verify, str(crafted))
    assert shown.exit_code == 0
    assert [line.split()[:2] for line in shown.stdout.splitlines()] == [
        ["ok", name] for name in (*CHECK_NAMES, "experts")
    ]

    (crafted / "weights.bin").write_bytes(GAIN[..., ::-1].tobytes()[:-1] + b"x")
    shown = run(verify, str(crafted))
    assert isinstance(shown.exception, BundleError)
    assert shown.exception.exit_code == 2
    assert [line[:7].strip() for line in shown.stdout.splitlines()] == ["ok", "ok", "FAILED", "not run", "not run"]
    result = json.loads(run(verify, str(crafted), "--json").stdout)
    assert result["passed"] is False
    assert [check["passed"] for check in result["checks"]] == [True, True, False, None, None]
    assert "weights.bin" in result["checks"][2]["seen"]


# --- the package's front door


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, mimdit; print(*[m for m in ('numpy', 'pydantic', 'typer', 'PIL') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_opening_needs_no_heavy_package(crafted: Path) -> None:
    code = (
        f"import sys, mimdit; mimdit.load_bundle({str(crafted)!r});"
        "print(*[m for m in ('torch', 'onnx', 'onnxruntime', 'typer', 'rich') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_public_names_resolve() -> None:
    assert mimdit.__all__ == sorted(mimdit.__all__)
    assert set(mimdit.__all__) <= set(dir(mimdit))
    assert mimdit.__version__.count(".") == 2
    assert mimdit.load_bundle is open_bundle
    assert callable(mimdit.restore)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mimdit.__getattr__("nothing")
