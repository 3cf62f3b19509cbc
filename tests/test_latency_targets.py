"""The table of latencies by target: contenders take turns, each against PyTorch in eager mode with the same routing."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from mimdit.benchmarks.latency_targets import Contender, main, markdown, measure

from .small import SMALL_TILE


def _contender(name: str, routing: str, calls: list[str]) -> Contender:
    return Contender(name, "fp32", routing, "network", "cpu", 1.0, lambda: calls.append(f"{name} {routing}"))


def test_contenders_take_turns_and_eager_is_the_yardstick() -> None:
    calls: list[str] = []
    names = [("PyTorch eager", "frozen"), ("onnx", "frozen"), ("PyTorch eager", "dynamic")]
    rows = measure([_contender(name, routing, calls) for name, routing in names], samples=7)
    timed = calls[-7 * len(names) :]
    for begin in range(0, len(timed), len(names)):
        assert len(set(timed[begin : begin + len(names)])) == len(names)
    assert [row.times_eager for row in rows[::2]] == [1.0, 1.0]
    assert rows[1].times_eager == pytest.approx(rows[0].median / rows[1].median)
    assert all(len(row.samples) == 7 and row.interval for row in rows)


def test_a_bundle_is_measured_without_torch(small: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(main)
    arguments = [str(small), "--out", str(tmp_path / "latency"), "--tile", str(SMALL_TILE), "--rounds", "7"]
    shown = CliRunner().invoke(app, [*arguments, "--threads", "1"])
    assert shown.exit_code == 0, shown.output
    content = json.loads((tmp_path / "latency.json").read_text())
    (row,) = content["rows"]
    assert (row["name"], row["precision"], row["routing"], row["times_eager"]) == ("onnx", "fp32", "frozen", None)
    assert "| onnx | fp32 | frozen | network | cpu |" in (tmp_path / "latency.md").read_text()
    assert markdown([], content).startswith(f"One tile of {SMALL_TILE}×{SMALL_TILE} px, `denoise`, 1 threads")
