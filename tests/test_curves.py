"""Curves come from the logs that training leaves, and a file that is no log is named."""

import json
from pathlib import Path

import pytest

from mimdit.benchmarks.curves import main, read_log
from mimdit.errors import MimditError
from mimdit.image import load


def test_losses_and_decibels_are_read_apart_and_drawn(tmp_path: Path) -> None:
    rows = [{"step": 20 * i, "seconds": 10 * (i % 8), "loss": 1 / i} for i in range(1, 12)]  # resumed after the seventh
    rows.append({"step": 220, "seconds": 31, "psnr_noise": 28.5, "psnr_rain": 2})
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    curves = read_log(log)
    assert curves.loss[-1].tolist() == [220, pytest.approx(1 / 11)]
    assert {kind: points.tolist() for kind, points in curves.psnr.items()} == {
        "noise": [[220, 28.5]],
        "rain": [[220, 2]],
    }
    assert curves.seconds == 70 + 31
    main([f"a stage={log}", f"another={log}"], tmp_path)
    assert "| a stage | 220 | 2 | noise 28.50 → 28.50, rain 2.00 → 2.00 |" in (tmp_path / "curves.md").read_text()
    assert load(tmp_path / "curves.png").pixels.std() > 5


@pytest.mark.parametrize("text", ["{", "[]", '{"loss": 1, "seconds": 1}'])
def test_a_file_that_is_no_log_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.jsonl").write_text(text)
    with pytest.raises(MimditError, match="no log of"):
        read_log(tmp_path / "x.jsonl")
