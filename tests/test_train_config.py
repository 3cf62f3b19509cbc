"""What a training run is told: a wrong config is one line, and those that ship are sound."""

from pathlib import Path

import pytest

from mimdit.errors import CheckpointError
from mimdit.train.config import TrainConfig


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('objective = "flow"\nsteps = 5\nstepz = 6', "stepz: no such key; there are objective, preset"),
        ('objective = "dream"\nsteps = 5', "objective: Input should be 'codec', 'flow', 'distill' or 'routers'"),
        ('objective = "flow"', "steps: Field required"),
        ('objective = "flow"\nsteps = 0', "steps: Input should be greater than 0"),
        ('objective = "flow"\nsteps = 5\ntile = 100', "tile: Input should be a multiple of 64"),
        ('objective = "flow"\nsteps = 5\nviews = [2, 0]', "views: 1: Input should be greater than 0"),
        ('objective = "flow"\nsteps = 5\n[mix]\nnoise = 0', "mix: expected shares"),
        ('objective = "flow"\nsteps = 5\n[mix]\nfog = 1', "mix"),
        ('objective = "distill"\nsteps = 5\ntrajectory_steps = 3', "reference and trajectory_steps belong together"),
        ('objective = "distill"\nsteps = 5\nquantized = true', "quantized is for frozen variants"),
        (
            'objective = "flow"\nsteps = 5\ninversion_steps = 2',
            "inversion_steps are for a flow that begins from a student",
        ),
        (
            'objective = "codec"\nsteps = 5\nstart = "x"\ninversion_steps = 2',
            "inversion_steps are for a flow that begins from a student",
        ),
        ("objective = flow", "is not TOML"),
        ("\ud800", "is not TOML"),
        (None, "No such file"),
    ],
)
def test_a_wrong_config_is_one_line(text: str | None, says: str, tmp_path: Path):
    path = tmp_path / "stage.toml"
    if text is not None:
        path.write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(CheckpointError) as error:
        TrainConfig.read(path)
    assert str(path) in str(error.value)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[1].glob("configs/*/*.toml")), ids=lambda path: path.stem)
def test_shipped_configs_are_sound(path: Path):
    TrainConfig.read(path)
