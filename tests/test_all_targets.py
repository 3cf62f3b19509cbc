"""Bundles for every target by one command: built where they are not there yet, and told in a table."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from mimdit.bundle import write_bundle
from mimdit.export import EXPORTERS, all_targets

from .crafted import crafted_files, crafted_manifest


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(all_targets.main)
    return app


def test_what_is_there_is_kept_and_what_fails_is_told(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The crafted bundle stands for fp32; fp16 is really tried, from a folder that holds no variant."""
    monkeypatch.setattr(all_targets, "EXPORTERS", [c for c in EXPORTERS if c.target == "onnx"])
    if missing := all_targets.EXPORTERS[0].missing():
        pytest.skip(f"{missing[0]} is not installed")
    write_bundle(tmp_path / "onnx-fp32.mimdit", crafted_manifest(), crafted_files)
    shown = CliRunner().invoke(app, [str(tmp_path / "nothing"), "-o", str(tmp_path), "--variant", "denoise"])
    assert shown.exit_code == 1
    assert "| onnx | fp32 | 0.0 | passed | 1.0e-06 |  | 1.0e-07 | 120.0 dB | 0 |  |" in shown.stdout
    assert "| onnx | fp16 | 0.0 | FAILED: " in shown.stdout


def test_an_unknown_target_is_named(app: typer.Typer, tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, [str(tmp_path), "-o", str(tmp_path), "--target", "nothing"])
    assert "no target is called nothing: choose from onnx, coreml" in str(shown.exception)
