"""The guides' commands, run as they stand: one folder a guide, in their order, on tiny bundles and photos."""

import re
import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from mimdit.benchmarks import golden_record
from mimdit.bundle import write_bundle
from mimdit.cli import main
from mimdit.example_photos import Example
from mimdit.model.checkpoint import save_model

from .crafted import reseal
from .small import SMALL_TILE, fill_small, small_manifest
from .source import ROOT

if TYPE_CHECKING:
    from mimdit.model.mimdit import MiMDiT

GUIDES = ("app-developer.md", "hardware-team.md", "ci.md")
ELSEWHERE = ("pip", "rm", "git")  # what a guide shows besides ours
SLOW = "tests/baselines"  # of the real bundle and the real reference: recorded by hand only


def commands(guide: str) -> list[tuple[list[str], int]]:
    """(words, expected exit code) of each line of a guide's ```sh blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs" / guide).read_text(), re.MULTILINE | re.DOTALL)
    found = []
    for line in "".join(blocks).splitlines():
        command, _, comment = line.partition(" #")
        expected = re.search(r"exit code (\d)", comment)
        found.append((shlex.split(command), int(expected[1]) if expected else 0))
    return found


@pytest.fixture
def place(tmp_path: Path, nano: "MiMDiT", monkeypatch: pytest.MonkeyPatch) -> Path:
    """Bundles that return their photos, a worse one that darkens them, photos to restore, an untrained reference."""
    manifest = small_manifest()
    for name in ("my.mimdit", "new.mimdit", "models/photo.mimdit", "worse.mimdit"):
        write_bundle(tmp_path / name, manifest, partial(fill_small, manifest))
    for file in (tmp_path / "worse.mimdit").glob("*-64.onnx"):
        onnx.save(_darker(), file)
    reseal(tmp_path / "worse.mimdit")
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for name in ("photo.jpg", "photos/a.jpg", "photos/b.png"):
        Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).save(tmp_path / name)
    save_model(nano, tmp_path / "reference" / "model")
    Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).save(tmp_path / "noisy.png")
    example = Example(name="noisy", degraded="noisy.png", truth="noisy.png", variant="denoise", credit="us")
    monkeypatch.setattr(golden_record, "EXAMPLES", tmp_path)
    monkeypatch.setattr(golden_record, "read_examples", lambda: [example])  # six at home
    monkeypatch.setattr(golden_record, "_SAMPLES", 1)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _darker() -> onnx.ModelProto:
    tile = [1, 3, SMALL_TILE, SMALL_TILE]
    values = {"image": tile, "photo": [1, 3, 64, 64], "restored": tile}
    image, photo, restored = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in values.items())
    gain = helper.make_tensor("gain", TensorProto.FLOAT, [1], [0.5])
    nodes = [helper.make_node("Mul", ["image", "gain"], ["restored"])]
    graph = helper.make_graph(nodes, "darker", [image, photo], [restored], [gain])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize("guide", GUIDES)
def test_what_a_guide_shows_works(
    guide: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mimdit.benchmarks.measured.CROPS", 8)  # 40 at home
    ours = [
        (words, code) for words, code in commands(guide) if words[0] not in ELSEWHERE and SLOW not in " ".join(words)
    ]
    assert len(ours) >= 4
    for words, code in ours:
        assert words[0] == "mimdit", words
        monkeypatch.setattr("sys.argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        assert (ended.value.code or 0) == code, f"{shlex.join(words)}\n{capsys.readouterr()}"


def test_files_to_copy_follow_the_published_schemas() -> None:
    """GitHub's and GitLab's, as check-jsonschema carries them."""
    pytest.importorskip("check_jsonschema")
    from check_jsonschema import main as check

    for schema, file in (
        ("vendor.github-actions", "action.yml"),
        ("vendor.github-workflows", "docs/ci/github-workflow.yml"),
        ("vendor.gitlab-ci", "docs/ci/gitlab-ci.yml"),
    ):
        with pytest.raises(SystemExit) as ended:
            check(["--builtin-schema", schema, str(ROOT / file)])
        assert not ended.value.code, file


def test_the_hooks_and_the_action_name_what_exists() -> None:
    import yaml

    from mimdit.cli import COMMANDS, _import_command

    hook = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())[0]
    example = yaml.safe_load((ROOT / "docs/ci/pre-commit-config.yaml").read_text())["repos"][0]["hooks"][0]
    assert hook["entry"].split()[1] in COMMANDS
    assert example["id"] == hook["id"]
    action = (ROOT / "action.yml").read_text()
    known = {option for parameter in _import_command("gate").params for option in parameter.opts}
    assert set(re.findall(r"\(?(--[a-z]+)", action.partition("runs:")[2])) <= known


def test_the_action_runs_its_script(place: Path, tmp_path: Path) -> None:
    """The composite action's last step, as a runner would: red when the bundle is worse, and its outputs are set."""
    import os
    import subprocess
    import sys

    import yaml

    step = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"][-1]
    base = {"BUNDLE": "worse.mimdit", "BASELINE": "", "AGAINST": "models/photo.mimdit", "RULES": "", "ONLY": "accuracy"}
    given = {**base, "ARGUMENTS": "--limit 8", "REPORTS": str(tmp_path / "out"), "GITHUB_OUTPUT": str(tmp_path / "o")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", step["run"]], env={**os.environ, **given, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    outputs = dict(line.split("=", 1) for line in (tmp_path / "o").read_text().splitlines())
    assert outputs == {"reports": str(tmp_path / "out"), "verdict": "regressed"}
    assert len(list((tmp_path / "out").iterdir())) == 5
