"""The table of latencies by target: contenders take turns, each against PyTorch in eager mode with the same routing."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from mimdit.benchmarks.latency_targets import Contender, Row, contenders_of, main, markdown, measure
from mimdit.export.tiles import parity_inputs
from mimdit.model.checkpoint import save_model
from mimdit.model.mimdit import MiMDiT

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


def _row(name: str, routing: str, part: str, milliseconds: float, megabytes: float) -> Row:
    return Row(name, "fp32", routing, part, "cpu", megabytes, milliseconds, None, True, None, (milliseconds,))


def test_frozen_against_dynamic_and_the_slowest_runtime_are_stated() -> None:
    rows = [
        _row("onnx", "frozen", "network", 20.0, 6.0),
        _row("litert", "frozen", "network", 30.0, 6.0),
        _row("PyTorch eager", "frozen", "network", 40.0, 6.0),
        _row("PyTorch eager", "dynamic", "network", 60.0, 9.0),
        _row("PyTorch eager", "frozen", "branch", 10.0, 2.0),
        _row("PyTorch eager", "dynamic", "branch", 25.0, 5.0),
    ]
    facts = {"tile": 64, "variant": "denoise", "threads": 2, "rounds": 1, "load": 0.0}
    text = markdown(rows, {**facts, "device": {"processor": "one", "cores": 2}})
    assert "litert takes 1.50 times as long as onnx, the best" in text
    assert "branch is 2.50 times faster and its weights 2.50 times smaller" in text
    assert "network is 1.50 times faster and its file 1.50 times smaller" in text


def test_a_model_runs_in_pytorch_whole_and_its_branch_alone(
    lively: MiMDiT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch, "compile", lambda model: model)
    save_model(lively, tmp_path / "model")
    image, photo = parity_inputs(64)[0].image, parity_inputs(64)[0].photo
    contenders = contenders_of(tmp_path / "model", image, photo)
    assert [(c.name, c.routing, c.part) for c in contenders] == [
        ("PyTorch eager", "dynamic", "network"),
        ("PyTorch compiled", "dynamic", "network"),
        ("PyTorch eager", "dynamic", "branch"),
    ]
    for contender in contenders:
        contender.call()
