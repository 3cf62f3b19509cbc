"""The fp16 lint: a planted activation beyond fp16's range is named with its module and stays in fp32 in the file."""

from pathlib import Path

import pytest
import torch

from mimdit.errors import CheckFailedError
from mimdit.export import EXPORTERS
from mimdit.export.build import _kept_in_fp32, build
from mimdit.export.fp16_lint import LARGEST
from mimdit.export.graph import DeployableGraph
from mimdit.model.mimdit import MiMDiT

from .frozen import FROZEN_TILE, frozen

BLOCK = "model.codec.decoder.blocks.0.0"
SCALE = 2.0**18


@pytest.fixture(scope="module")
def planted(lively: MiMDiT) -> DeployableGraph:
    """What one convolution multiplies, the next divides: the output is the same, but between them values are huge."""
    graph = DeployableGraph(frozen(lively, "denoise"), tile=FROZEN_TILE, steps=1)
    block = graph.get_submodule(BLOCK)
    with torch.no_grad():
        for parameter in block.get_submodule("first").parameters():
            parameter *= SCALE
        block.get_parameter("second.weight").div_(SCALE)
    return graph


def test_large_values_are_named_where_they_are_made_and_where_they_are_read(planted: DeployableGraph) -> None:
    reasons = {(f.module.removeprefix(BLOCK), f.operation): f.reason for f in planted.fragile if BLOCK in f.module}
    assert {place: reason.split(" up to")[0] for place, reason in reasons.items()} == {
        (".first", "conv2d"): "values",
        ("", "relu"): "values",
        (".second", "conv2d"): "reads values",
    }
    largest = float(reasons[".first", "conv2d"].rpartition(" ")[2].replace(",", ""))
    assert largest > 65504 > LARGEST


def test_a_constant_that_fp16_rounds_to_zero_is_named_with_what_reads_it(planted: DeployableGraph) -> None:
    """`F.normalize` in the channel-attention experts divides by a norm of at least 1e-12."""
    found = [f for f in planted.fragile if ".experts.channel_" in f.module]
    assert {f.operation for f in found} >= {"clamp_min", "div"}
    assert any("1e-12 is zero in fp16" in f.reason for f in found)


@pytest.mark.parametrize("target", ["onnx", "coreml"])
def test_what_is_named_stays_in_fp32_and_is_told(planted: DeployableGraph, target: str, tmp_path: Path) -> None:
    converter = next(converter for converter in EXPORTERS if converter.target == target)
    if missing := converter.missing():
        pytest.skip(f"{missing[0]} is not installed")
    told: list[str] = []
    manifest = build([planted], converter, "fp16", tmp_path / "sound.mimdit", command="", tell=told.append)
    (model,) = manifest.models
    assert f"{BLOCK}.first" in [kept.module for kept in model.kept_fp32]
    assert any(f"in fp32 stays conv2d of {BLOCK}.first: values up to" in line for line in told)


def test_without_the_lint_the_file_is_wrong(
    planted: DeployableGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told by the evaluator, which rounds what is stored. ONNX Runtime hides it: its CPU kernels compute in fp32."""
    converter = next(converter for converter in EXPORTERS if converter.target == "coreml")
    if missing := converter.missing():
        pytest.skip(f"{missing[0]} is not installed")
    monkeypatch.setitem(vars(planted), "fragile", ())
    with pytest.raises(CheckFailedError, match="parity"):
        build([planted], converter, "fp16", tmp_path / "bad.mimdit", command="")
    assert list(tmp_path.iterdir()) == []


def test_where_no_exception_can_be_made_it_is_said_and_not_claimed(planted: DeployableGraph) -> None:
    converter = next(converter for converter in EXPORTERS if converter.target == "executorch")
    told: list[str] = []
    assert _kept_in_fp32(planted, converter.on("coreml"), "fp16", told.append) == ()
    assert any(f"for coreml all is fp16, though it does not hold conv2d of {BLOCK}.first" in line for line in told)
    assert f"{BLOCK}.first" in [kept.module for kept in _kept_in_fp32(planted, converter, "fp16", told.append)]


def test_where_fp16_is_storage_nothing_has_to_be_kept(planted: DeployableGraph, tmp_path: Path) -> None:
    converter = next(converter for converter in EXPORTERS if converter.target == "openvino")
    if missing := converter.missing():
        pytest.skip(f"{missing[0]} is not installed")
    told: list[str] = []
    manifest = build([planted], converter, "fp16", tmp_path / "stored.mimdit", command="", tell=told.append)
    assert manifest.models[0].kept_fp32 == ()
    assert "denoise-64: fp16 is how openvino stores weights, all arithmetic is fp32" in told
