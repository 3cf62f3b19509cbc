"""From a frozen network to a bundle: the graph, its files, parity, and what happens when something is wrong."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from mimdit import onnx_file
from mimdit.bundle import open_bundle
from mimdit.errors import CheckpointError, MimditError
from mimdit.export import EXPORTERS
from mimdit.export.build import build
from mimdit.export.converter import find
from mimdit.export.graph import DeployableGraph
from mimdit.export.tiles import parity_inputs
from mimdit.manifest import ID_KEY, Manifest
from mimdit.model.checkpoint import save_model
from mimdit.model.mimdit import MiMDiT
from mimdit.runtimes.restore import restore
from mimdit.targets import DEGRADATIONS

from .frozen import FROZEN_TILE as TILE
from .frozen import frozen


@pytest.fixture(scope="module")
def graphs(lively: MiMDiT) -> list[DeployableGraph]:
    return [DeployableGraph(frozen(lively, variant), tile=TILE, steps=2) for variant in ("denoise", "dehaze")]


@pytest.fixture(scope="module")
def built(graphs: list[DeployableGraph], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    out = tmp_path_factory.mktemp("built") / "two.mimdit"
    return out, build(graphs, EXPORTERS[0], "fp32", out, command="mimdit build …")


def test_folding_the_time_changes_nothing(graphs: list[DeployableGraph], lively: MiMDiT) -> None:
    model = frozen(lively, "denoise")
    image, photo = graphs[0].example_inputs()
    with torch.no_grad():
        assert (graphs[0](image, photo) - model(image, photo, steps=2)).abs().max() < 1e-6


def test_bundle_opens_and_restores(built: tuple[Path, Manifest]) -> None:
    out, manifest = built
    bundle = open_bundle(out)
    assert bundle.manifest == manifest
    assert [entry.parity.status for entry in manifest.models] == ["passed", "passed"]
    photo = np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    restored = restore(photo, bundle, variant="dehaze")
    assert restored.shape == photo.shape
    assert not np.array_equal(restored, photo)


def test_shared_weights_are_stored_once_and_in_half(
    built: tuple[Path, Manifest], graphs: list[DeployableGraph]
) -> None:
    """Two variants of one trunk take hardly more than one, at two bytes a weight."""
    out, _ = built
    each = sum(tensor.numel() for tensor in graphs[0].model.parameters())
    assert (out / "weights.bin").stat().st_size < 2 * each * 1.5
    external = [
        tensor
        for file in sorted(out.glob("d*.onnx"))
        for tensor in onnx_file.parse(file.read_bytes()).tensors
        if tensor.location
    ]
    offsets = [tensor.offset for tensor in external]
    assert len(set(offsets)) < len(offsets)


def test_files_carry_the_bundles_id(built: tuple[Path, Manifest]) -> None:
    out, manifest = built
    assert onnx_file.parse((out / "denoise-64.onnx").read_bytes()).metadata[ID_KEY] == manifest.id


def test_files_name_no_path_of_this_machine(built: tuple[Path, Manifest]) -> None:
    out, _ = built
    assert str(Path(torch.__file__).parent.parent).encode() not in (out / "denoise-64.onnx").read_bytes()


def test_parity_inputs_are_the_same_every_time() -> None:
    first, second = parity_inputs(TILE), parity_inputs(TILE)
    assert {item.name for item in first} >= {*DEGRADATIONS, "black", "white"}
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.image, other.image)
        assert one.image.shape == (1, 3, TILE, TILE)
        assert one.photo.shape == (1, 3, 64, 64)


def test_an_unknown_combination_lists_what_exists() -> None:
    with pytest.raises(MimditError, match="what can is onnx: fp32"):
        find(EXPORTERS, "onnx", "w8")


def test_a_dynamic_model_and_an_odd_tile_are_refused(lively: MiMDiT) -> None:
    with pytest.raises(CheckpointError, match="only a frozen variant"):
        DeployableGraph(lively, tile=TILE, steps=1)
    with pytest.raises(CheckpointError, match="multiple of 64"):
        DeployableGraph(frozen(lively, "denoise"), tile=100, steps=1)


def test_a_build_killed_in_the_middle_leaves_the_old_bundle(lively: MiMDiT, tmp_path: Path) -> None:
    save_model(frozen(lively, "denoise"), tmp_path / "variants" / "denoise" / "model")
    out = tmp_path / "one.mimdit"
    command = [sys.executable, "-m", "mimdit", "build", str(tmp_path / "variants"), "-o", str(out)]
    command += ["--variant", "denoise", "--tile", str(TILE)]
    subprocess.run(command, check=True, capture_output=True)
    before = open_bundle(out).manifest
    again = subprocess.Popen([*command, "--overwrite"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert again.stderr is not None
    while "converting" not in again.stderr.readline():
        assert again.poll() is None
    time.sleep(0.5)
    again.send_signal(signal.SIGKILL)
    again.wait()
    assert open_bundle(out).manifest == before
    subprocess.run([*command, "--overwrite"], check=True, capture_output=True)
    assert open_bundle(out).manifest.models == before.models
