"""From the embedded bundle back to what it was made from."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from mimdit.bundle import default_bundle_path, open_bundle
from mimdit.errors import CheckpointError
from mimdit.export import unpack as command
from mimdit.export.unpack import unpack
from mimdit.model.checkpoint import load_model
from mimdit.model.mimdit import MiMDiT
from mimdit.routing.inside import plan_difference

STUDENT = Path(__file__).parent.parent / "weights" / "student-1"


def test_every_variant_that_ships_comes_back_whole(tmp_path: Path) -> None:
    """That they are those that the bundle was made from, the hash in its manifest proves: unpack compares it."""
    app = typer.Typer()
    app.command()(command.main)
    ran = CliRunner().invoke(app, [str(default_bundle_path()), str(STUDENT), "-o", str(tmp_path)])
    assert ran.exit_code == 0, ran.output
    bundle = open_bundle()
    assert {path.name for path in tmp_path.iterdir()} == set(bundle.variants)
    for variant in bundle.variants:
        model = load_model(tmp_path / variant / "model")
        plan = bundle.entry(variant).plan
        assert model.shape.plan == plan
        assert plan_difference(plan, [name for name, _ in model.named_parameters()]) is None


def test_another_student_is_refused() -> None:
    student = load_model(STUDENT)
    with torch.no_grad():
        student.backbone.time_text_embed.timestep_embedder.linear_1.weight *= 1.1  # pyright: ignore
    with pytest.raises(CheckpointError, match="was not made from this student"):
        unpack(open_bundle(), student)


def test_only_whole_weights_are_unpacked() -> None:
    bundle = open_bundle()
    half = replace(bundle, manifest=bundle.manifest.model_copy(update={"precision": "fp16"}))
    with pytest.raises(CheckpointError, match="for onnx in fp16: weights are whole in fp32 for onnx only"):
        unpack(half, load_model(STUDENT))


def test_a_student_of_another_shape_is_refused() -> None:
    student = load_model(STUDENT)
    smaller = MiMDiT.from_preset(student.shape.model_copy(update={"branch_channels": 64}))
    with pytest.raises(CheckpointError, match="has other layers than this student"):
        unpack(open_bundle(), smaller)
