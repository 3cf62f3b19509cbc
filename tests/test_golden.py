"""Goldens: recorded whole, opened only if untouched, and what a bundle loses against them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from mimdit.benchmarks import golden_record
from mimdit.benchmarks.drift import drift, reference_of
from mimdit.benchmarks.golden import Golden, open_golden
from mimdit.benchmarks.headline import CUDA_NOT_MEASURED, headline
from mimdit.benchmarks.run_file import Samples
from mimdit.bundle import open_bundle
from mimdit.errors import MimditError
from mimdit.example_photos import Example

from .run_files import a_run

if TYPE_CHECKING:
    from mimdit.model.mimdit import MiMDiT


@pytest.fixture(scope="module")
def recorded(nano: "MiMDiT", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A golden of an untrained network, which gives the photo back, on two 70×66 photos."""
    from mimdit.model.checkpoint import save_model

    folder = tmp_path_factory.mktemp("golden")
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png", "truth.png"):
        Image.fromarray(rng.integers(60, 200, (66, 70, 3), dtype=np.uint8)).save(folder / name)
    examples = [
        Example(name="a", degraded="a.png", truth="truth.png", variant="denoise", credit="us"),
        Example(name="b", degraded="b.png", truth="truth.png", variant="dehaze", credit="us"),
    ]
    save_model(nano, folder / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(golden_record, "EXAMPLES", folder)
        patch.setattr(golden_record, "read_examples", lambda: examples)
        patch.setattr(golden_record, "_SAMPLES", 2)
        golden_record.record_golden(
            folder / "model", folder / "x.golden", steps=1, command="test", tell=lambda line: None
        )
    return folder / "x.golden"


def test_where_there_is_a_gpu_it_computes_the_outputs_and_is_timed(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No GPU here: the processor stands in for it behind PyTorch's own questions."""
    import torch

    from mimdit.benchmarks.torch_models import TorchRuntime

    class Disguised(TorchRuntime):
        def __init__(self, model: "MiMDiT", steps: int, device: str):
            assert device == "cuda"
            super().__init__(model, steps)

    folder = recorded.parent
    example = Example(name="a", degraded="a.png", truth="truth.png", variant="denoise", credit="us")
    monkeypatch.setattr(golden_record, "EXAMPLES", folder)
    monkeypatch.setattr(golden_record, "read_examples", lambda: [example])
    monkeypatch.setattr(golden_record, "_SAMPLES", 2)
    monkeypatch.setattr(golden_record, "_sd35_medium", lambda: Samples.of([0.5]))
    monkeypatch.setattr(golden_record, "_driver", lambda: "580.1")
    monkeypatch.setattr("mimdit.benchmarks.torch_models.TorchRuntime", Disguised)
    for name, answer in (("is_available", True), ("get_device_name", "H100"), ("max_memory_allocated", 7)):
        monkeypatch.setattr(torch.cuda, name, lambda answer=answer: answer)
    golden_record.record_golden(
        folder / "model", tmp_path / "gpu.golden", steps=1, command="test", tell=lambda line: None
    )
    golden = open_golden(tmp_path / "gpu.golden")
    assert golden.content.computed_on == "cuda: H100"
    assert golden.content.cpu_seconds is None
    cuda = golden.content.cuda
    assert cuda is not None
    assert (cuda.driver, cuda.peak_bytes, len(cuda.seconds.seconds)) == ("580.1", 7, 2)
    reference = reference_of(golden)
    assert (reference.cuda_device, reference.sd35_medium_seconds) == ("H100", (0.5,))


@pytest.fixture
def golden(recorded: Path) -> Golden:
    return open_golden(recorded)


def test_a_golden_says_where_it_comes_from(golden: Golden) -> None:
    content = golden.content
    assert content.computed_on.startswith(("cpu: ", "cuda: "))
    assert (content.cuda is None) == content.computed_on.startswith("cpu")
    assert (content.cpu_seconds is None) == content.computed_on.startswith("cuda")
    assert [entry.degradation for entry in content.entries] == ["noise", "haze"]
    assert content.peak_bytes is None or content.peak_bytes > 0
    assert {"python", "torch"} <= {name for name, version in content.provenance.versions.items() if version}


def test_an_edited_golden_is_refused(recorded: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(recorded, tmp_path / "copy.golden")
    (copy / "a.golden.png").write_bytes(b"x")
    with pytest.raises(MimditError, match=r"a\.golden\.png: is not what was recorded"):
        open_golden(copy)
    (copy / "a.golden.png").unlink()
    with pytest.raises(MimditError, match=r"a\.golden\.png: cannot be read"):
        open_golden(copy)
    shutil.copyfile(recorded / "a.golden.png", copy / "a.golden.png")
    content = json.loads((copy / "golden.json").read_text())
    content["entries"][0]["psnr"] += 1
    (copy / "golden.json").write_text(json.dumps(content))
    with pytest.raises(MimditError, match="its id does not follow"):
        open_golden(copy)


def test_drift_is_measured_for_the_variants_that_the_bundle_has(golden: Golden, small: Path) -> None:
    (row,) = drift(golden, open_bundle(small), threads=1)  # small has no dehaze
    assert row.degradation == "noise"
    # Both return their photo, the untrained network within a level.
    assert row.agreement > 45
    assert row.max_levels <= 1
    assert row.lost == pytest.approx(0, abs=0.05)


def test_no_cpu_figure_stands_in_for_cuda(golden: Golden) -> None:
    reference = reference_of(golden).model_copy(update={"cuda_device": None, "cuda_seconds": None})
    line = headline(a_run().model_copy(update={"reference": reference}), a_run().results[0])
    assert line.times is None
    assert CUDA_NOT_MEASURED in line.sentence()
    timed = reference.model_copy(update={"cuda_device": "H100", "cuda_seconds": (0.01, 0.01, 0.02)})
    line = headline(a_run().model_copy(update={"reference": timed}), a_run().results[0])
    assert line.times == pytest.approx(a_run().results[0].latency.graph.median / 0.01)  # pyright: ignore
    assert "H100" in line.sentence()


def test_the_command_holds_a_bundle_to_a_golden(run, recorded: Path, small: Path, tmp_path: Path) -> None:
    options = ("--samples", 1, "--threads", 1, "-o", tmp_path / "run.json")
    shown = run("golden", "compare", recorded, small, *options, "--json", "--max-drop", 0.1)
    assert shown.code == 0, shown.err
    assert set(json.loads(shown.out)["lost"]) == {"noise"}
    failed = run("golden", "compare", recorded, small, "--samples", 1, "--threads", 1, "--max-drop", -1)
    assert failed.code == 1
    assert "more than --max-drop" in failed.err
    assert failed.out.splitlines()[0].count("noise")


def test_golden_alone_says_what_follows(run) -> None:
    shown = run("golden")
    assert shown.code == 2
    assert "record or compare" in shown.err


def test_another_folder_is_never_overwritten(run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    shown = run("golden", "record", tmp_path, "-o", tmp_path / "mine", "--overwrite")
    assert shown.code == 2
    assert "is no golden" in shown.err
