"""What latents carry: a table of ways to decode, on tiles that were held out."""

import copy
from itertools import pairwise
from pathlib import Path

import torch
import typer
from typer.testing import CliRunner

from mimdit.benchmarks import latents
from mimdit.model.checkpoint import save_model
from mimdit.model.mimdit import MiMDiT
from mimdit.targets import DEGRADATIONS


def test_what_decodes_to_the_truth_is_nearer_to_it(nano: MiMDiT, colourful_photos: Path, tmp_path: Path) -> None:
    model = copy.deepcopy(nano)
    torch.manual_seed(1)
    for parameter in model.codec.parameters():  # an untrained codec's last layer is nothing, whatever the latent
        parameter.data += 0.02 * torch.randn_like(parameter)
    save_model(model, tmp_path / "student")
    app = typer.Typer()
    app.command()(latents.main)
    folder = str(tmp_path / "student")
    arguments = [folder, "--reference", folder, "--photos", str(colourful_photos), "--count", "1", "--each", "1"]
    ran = CliRunner().invoke(app, [*arguments, "--tile", "64", "--runs", str(tmp_path / "run")])
    assert ran.exit_code == 0, ran.output
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in ran.stdout.splitlines()]
    found = {name: [float(cell) for cell in cells] for name, *cells in rows[2:]}
    assert rows[0][1:] == list(DEGRADATIONS)
    assert found.keys() >= {"truth's latent", f"{folder}, steps: 20"}
    nearer = [found[name] for name in ("student's latent", *(f"inverted, steps: {n}" for n in (1, 2, 8)))]
    assert all(before < after for column in zip(*nearer, strict=True) for before, after in pairwise(column))
    assert found[f"{folder}, steps: 1"] == found["student's latent"]
