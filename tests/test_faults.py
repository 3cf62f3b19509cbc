"""Faults planted in a sound model file are found, by the count of experts or by parity, and leave no bundle."""

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper
from typer.testing import CliRunner

from mimdit.cli import _app
from mimdit.errors import CheckFailedError
from mimdit.export import onnx as exporter
from mimdit.export.build import build
from mimdit.export.graph import DeployableGraph
from mimdit.model.mimdit import MiMDiT
from mimdit.routing.plan import RoutingPlan
from mimdit.targets import Precision

from .crafted import reseal
from .frozen import FROZEN_TILE, frozen

SOUND = exporter.CONVERTER
FILE = f"denoise-{FROZEN_TILE}.onnx"


@pytest.fixture(scope="module")
def graph(lively: MiMDiT) -> DeployableGraph:
    return DeployableGraph(frozen(lively, "denoise"), tile=FROZEN_TILE, steps=1)


@pytest.fixture(scope="module")
def sound(graph: DeployableGraph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle without fault."""
    out = tmp_path_factory.mktemp("sound") / "sound.mimdit"
    build([graph], SOUND, "fp32", out, command="mimdit build …")
    return out


def _tensors(model: ModelProto, part: str) -> dict[str, onnx.TensorProto]:
    found = {tensor.name: tensor for tensor in model.graph.initializer if part in tensor.name}
    assert found, f"no tensor of the file is called …{part}…"
    return found


def _set(tensor: onnx.TensorProto, values: np.ndarray) -> None:
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def sign_flipped(model: ModelProto) -> None:
    (tensor,) = _tensors(model, "decoder.stem.weight").values()
    _set(tensor, -numpy_helper.to_array(tensor))


def experts_swapped(model: ModelProto) -> None:
    """A sub-expert of block 0 does the work of its namesake in block 1, and that one its. All names are right."""
    kept = [{name.split(".")[5] for name in _tensors(model, f"branch.blocks.{block}.experts.")} for block in (0, 1)]
    namesake = min(kept[0] & kept[1])
    for name, tensor in _tensors(model, f".blocks.0.experts.{namesake}.").items():
        (other,) = _tensors(model, name.replace(".blocks.0.", ".blocks.1.")).values()
        values = numpy_helper.to_array(tensor)
        _set(tensor, numpy_helper.to_array(other))
        _set(other, values)


def resize_mode_changed(model: ModelProto) -> None:
    nodes = [node for node in model.graph.node if node.op_type == "Resize"]
    mode = next(attribute for attribute in nodes[-1].attribute if attribute.name == "mode")
    mode.s = b"linear" if mode.s == b"nearest" else b"nearest"


def clamp_missing(model: ModelProto) -> None:
    (node,) = (node for node in model.graph.node if "restored" in node.output)
    assert node.op_type == "Clip"
    node.op_type = "Identity"
    del node.input[1:]


def _picked(model: ModelProto, indices: Sequence[int], axis: int) -> None:
    """The image, before anything sees it, with other channels or columns."""
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            if name == "image":
                node.input[i] = "image_picked"
    model.graph.initializer.append(numpy_helper.from_array(np.array(indices, np.int64), "picked"))
    model.graph.node.insert(0, helper.make_node("Gather", ["image", "picked"], ["image_picked"], axis=axis))


def bgr_for_rgb(model: ModelProto) -> None:
    _picked(model, (2, 1, 0), axis=1)


def tile_off_by_one(model: ModelProto) -> None:
    _picked(model, [*range(1, FROZEN_TILE), FROZEN_TILE - 1], axis=3)


def not_a_number(model: ModelProto) -> None:
    (tensor,) = _tensors(model, "decoder.stem.weight").values()
    _set(tensor, numpy_helper.to_array(tensor) * np.float16(np.nan))


def _rename(model: ModelProto, part: str, into: str) -> None:
    """Every tensor of one sub-expert is called after another, or after none."""
    for name, tensor in _tensors(model, part).items():
        tensor.name = name.replace(part, into)
        for node in model.graph.node:
            node.input[:] = [tensor.name if used == name else used for used in node.input]


def _spoil(folder: Path, fault: Callable[[ModelProto], object]) -> None:
    model = onnx.load(folder / FILE)
    fault(model)
    (folder / "weights.bin").unlink()
    onnx.save(model, folder / FILE, save_as_external_data=True, location="weights.bin", size_threshold=1024)


@pytest.mark.parametrize(
    "fault",
    [
        sign_flipped,
        experts_swapped,
        resize_mode_changed,
        clamp_missing,
        bgr_for_rgb,
        tile_off_by_one,
        not_a_number,
    ],
    ids=lambda fault: fault.__name__,
)
def test_parity_finds_what_is_computed_wrongly(
    graph: DeployableGraph, sound: Path, tmp_path: Path, fault: Callable[[ModelProto], object]
) -> None:
    def spoiled(graphs: Sequence[DeployableGraph], precision: Precision, folder: Path, identity: str) -> None:
        for name in (FILE, "weights.bin"):
            shutil.copy(sound / name, folder)
        _spoil(folder, fault)

    with pytest.raises(CheckFailedError, match=f"parity of denoise-{FROZEN_TILE}") as caught:
        build([graph], replace(SOUND, convert=spoiled), "fp32", tmp_path / "bad.mimdit", command="")
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def _other_than(plan: RoutingPlan) -> tuple[str, str]:
    """A sub-expert of block 1's plan, and a sub-expert of the same group that the plan left out."""
    kept = plan.blocks[1].experts[0]
    return kept.name, f"{kept.group}_{(kept.expert + 1) % 3}"


def test_verify_names_an_expert_that_has_anothers_weights(sound: Path, tmp_path: Path) -> None:
    """All names are those of the plan; the values tell."""
    bundle = tmp_path / "spoiled.mimdit"
    shutil.copytree(sound, bundle)
    _spoil(bundle, experts_swapped)
    reseal(bundle)
    shown = CliRunner().invoke(_app, ["verify", str(bundle)])
    assert shown.exit_code == 2
    assert re.search(r"sub-expert (\w+_\d) of MiM block 0 has those of \1 of block 1 for weights", shown.stderr)


@pytest.mark.parametrize("fault", ["dropped", "swapped"])
def test_verify_names_an_expert_that_is_not_the_plans(
    graph: DeployableGraph, sound: Path, tmp_path: Path, fault: str
) -> None:
    """Under true hashes: what is inside tells it, not what the manifest says."""
    kept, other = _other_than(graph.plan)
    bundle = tmp_path / "spoiled.mimdit"
    shutil.copytree(sound, bundle)
    into = f".blocks.1.experts.{other}." if fault == "swapped" else ".nowhere."
    _spoil(bundle, lambda model: _rename(model, f".blocks.1.experts.{kept}.", into))
    reseal(bundle)

    shown = CliRunner().invoke(_app, ["verify", str(bundle)])
    assert shown.exit_code == 2
    assert f"{FILE}: sub-expert {kept} of MiM block 1 is in the plan but not in the file" in shown.stderr
    assert shown.stdout.splitlines()[-1].startswith("FAILED  experts")
    assert CliRunner().invoke(_app, ["verify", str(sound)]).exit_code == 0
