"""What models restore of photos that were held out: every degradation of the results page, and clean photos."""

from pathlib import Path

import typer
from typer.testing import CliRunner

from mimdit.benchmarks import held_out
from mimdit.benchmarks.synthetic import SYNTHETIC
from mimdit.model.checkpoint import save_model
from mimdit.model.mimdit import MiMDiT


def test_what_adds_nothing_restores_nothing(nano: MiMDiT, colourful_photos: Path, tmp_path: Path) -> None:
    """An untrained network adds nothing to the photo: its last layers begin as nothing."""
    save_model(nano, tmp_path / "run" / "model")
    app = typer.Typer()
    app.command()(held_out.main)
    arguments = [str(tmp_path / "run" / "model"), "--photos", str(colourful_photos), "--count", "1"]
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.output
    header, _, *lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in ran.stdout.splitlines()]
    assert header[:2] == ["PSNR, dB, 2 tiles", "input"]  # one of each of the two smaller scales
    found = {name: (float(before), float(after)) for name, before, after in lines}
    assert found.keys() == {"clean", *(kind.name for kind in SYNTHETIC)}
    assert found["clean"][0] == 100
    assert found["clean"][1] > 45  # half a level
    assert found["noise-15"][0] > found["noise-25"][0] > found["noise-50"][0]
    assert all(abs(after - before) < 0.02 for name, (before, after) in found.items() if name != "clean")
