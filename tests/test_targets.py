"""One contract for all targets, written once: whatever EXPORTERS lists is built, measured, opened and restores here.

A target is covered by its registry lines alone. A package that is not installed skips its target, and is named; with
MIMDIT_REQUIRE=all, as in `.ci/run`, it fails.
"""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from mimdit.bundle import Bundle, open_bundle
from mimdit.errors import BundleError, MimditError, MissingPackageError
from mimdit.export import EXPORTERS
from mimdit.export.build import build
from mimdit.export.converter import Converter, find
from mimdit.export.graph import DeployableGraph
from mimdit.export.parity import LOWEST_PSNR
from mimdit.export.tiles import parity_inputs
from mimdit.manifest import Manifest
from mimdit.model.mimdit import MiMDiT
from mimdit.routing.inside import plan_difference
from mimdit.runtimes import RUNTIMES, RuntimeSpec, open_runtime
from mimdit.runtimes import find as find_runtime
from mimdit.runtimes.restore import restore
from mimdit.runtimes.units import golden_error
from mimdit.targets import Precision

from .frozen import FROZEN_TILE, frozen

COMBINATIONS = [(converter, precision) for converter in EXPORTERS for precision in converter.precisions]
PROMISED = {"fp32": 1e-4, "fp16": 3 / 255}  # largest error on 0..1, whatever the target


@dataclass(frozen=True)
class Built:
    """One target at one precision, built from the same nano variant as all others."""

    converter: Converter
    precision: Precision
    graph: DeployableGraph
    manifest: Manifest
    path: Path

    def open(self) -> Bundle:
        """The bundle; skips where this machine cannot run it, which the manifest must have said."""
        (model,) = self.manifest.models
        if model.parity.status == "not measured":
            with pytest.raises(BundleError, match="cannot run here"):
                open_runtime(open_bundle(self.path), "denoise")
            pytest.skip(f"{self.converter.target}: {model.parity.reason}")
        return open_bundle(self.path)


def need(package: str) -> None:
    """Skip, or fail where everything must be there."""
    if os.environ.get("MIMDIT_REQUIRE") == "all":
        pytest.fail(f"{package} is not installed, and MIMDIT_REQUIRE=all asks for every target's package")
    pytest.skip(f"{package} is not installed")


@pytest.fixture(scope="module")
def graph(lively: MiMDiT) -> DeployableGraph:
    return DeployableGraph(frozen(lively, "denoise"), tile=FROZEN_TILE, steps=1)


@pytest.fixture(scope="module", params=COMBINATIONS, ids=lambda pair: f"{pair[0].target}-{pair[1]}")
def built(request: pytest.FixtureRequest, graph: DeployableGraph, tmp_path_factory: pytest.TempPathFactory) -> Built:
    converter, precision = request.param
    for package in converter.missing():
        need(package)
    path = tmp_path_factory.mktemp(converter.target) / "nano.mimdit"
    known = next((failure for failure in converter.known_failures if failure.precision == precision), None)
    try:
        manifest = build([graph], converter, precision, path, command="mimdit build …")
    except MimditError:
        if known is None:
            raise
        pytest.xfail(f"{known.reason} ({known.link})")
    assert known is None, f"{converter.target} at {precision} works now: remove its KnownFailure ({known.link})"
    return Built(converter, precision, graph, manifest, path)


def test_parity_is_measured_or_says_why_not(built: Built) -> None:
    (model,) = built.manifest.models
    if model.parity.status == "not measured":
        assert model.parity.reason
        return
    assert model.parity.max_error is not None
    assert model.parity.max_error <= built.converter.tolerance[built.precision]
    if built.precision in PROMISED:
        assert built.converter.tolerance[built.precision] <= PROMISED[built.precision]
    if lowest := LOWEST_PSNR.get(built.precision):
        assert model.parity.psnr is not None
        assert model.parity.psnr >= lowest


def test_the_bundle_opens_and_says_what_it_is(built: Built) -> None:
    manifest = open_bundle(built.path).manifest
    assert manifest == built.manifest
    assert (manifest.target, manifest.precision) == (built.converter.target, built.precision)
    (model,) = manifest.models
    assert model.file == f"denoise-{FROZEN_TILE}{built.converter.suffix}"


def test_the_file_holds_the_experts_of_the_plan(built: Built) -> None:
    (model,) = built.manifest.models
    names = list(built.converter.tensor_names(built.path / model.file))
    assert plan_difference(model.plan, names) is None
    of_one = f".{model.plan.blocks[0].experts[0].name}."
    fault = plan_difference(model.plan, [name for name in names if of_one not in name])
    assert fault is not None
    assert "is in the plan but not in the file" in fault


def test_every_file_carries_the_bundles_id(built: Built) -> None:
    (model,) = built.manifest.models
    path = built.path / model.file
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    assert any(built.manifest.id.encode() in file.read_bytes() for file in files)


def test_the_golden_tile_is_restored_as_the_bundle_says(built: Built) -> None:
    bundle = built.open()
    (model,) = built.manifest.models
    assert bundle.manifest.golden is not None
    assert [passed.unit for passed in model.units] == ["cpu"]
    error = golden_error(bundle, model, open_runtime(bundle, "denoise", threads=1))
    assert error <= max(built.converter.tolerance[built.precision], 1e-6) + 0.51 / 255
    assert error <= bundle.manifest.golden.tolerance


def test_a_tile_keeps_the_contract_whatever_the_threads(built: Built) -> None:
    bundle = built.open()
    item = parity_inputs(FROZEN_TILE)[0]
    for threads in (1, None):
        runtime = open_runtime(bundle, "denoise", threads=threads)
        assert (runtime.name.split()[0], runtime.tile) == (built.converter.target, FROZEN_TILE)
        restored = runtime.run(item.image, item.photo)
        assert restored.shape == item.image.shape
        assert not np.array_equal(restored, item.image)


def test_the_same_tile_gives_the_same_bytes(built: Built) -> None:
    """In one session, in a new one, and whatever was restored in between."""
    bundle = built.open()
    first, other = parity_inputs(FROZEN_TILE)[:2]
    runtime = open_runtime(bundle, "denoise", threads=1)
    once = runtime.run(first.image, first.photo).copy()
    runtime.run(other.image, other.photo)
    assert np.array_equal(runtime.run(first.image, first.photo), once)
    again = open_runtime(bundle, "denoise", threads=1)
    assert np.array_equal(again.run(first.image, first.photo), once)


def test_the_photo_counts(built: Built) -> None:
    """Inputs are not mixed up: the same tile of another photo is restored differently."""
    runtime = open_runtime(built.open(), "denoise", threads=1)
    first, other = parity_inputs(FROZEN_TILE)[:2]
    assert not np.array_equal(runtime.run(first.image, first.photo), runtime.run(first.image, other.photo))


def test_a_photo_is_restored(built: Built) -> None:
    bundle = built.open()
    photo = np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    restored = restore(photo, bundle, threads=1)
    assert restored.shape == photo.shape
    assert restored.dtype == photo.dtype
    assert not np.array_equal(restored, photo)


@pytest.mark.parametrize("converter", EXPORTERS, ids=lambda converter: converter.target)
def test_a_missing_package_names_the_extra(converter: Converter) -> None:
    lacking = replace(converter, requires=(*converter.requires, "no_such_package"))
    if converter.missing():
        pytest.skip(f"{converter.missing()[0]} is not installed: it would be named first")
    extra = rf"no_such_package is not installed.*mimdit\[{converter.target}\]"
    with pytest.raises(MissingPackageError, match=extra):
        find([lacking], converter.target, converter.precisions[0])


@pytest.mark.parametrize("spec", RUNTIMES, ids=lambda spec: spec.target)
def test_a_missing_runtime_names_what_to_install(spec: RuntimeSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    if not spec.requires:
        pytest.skip(f"{spec.target} needs the base install only")
    monkeypatch.setattr("mimdit.runtimes.find_spec", lambda name: None)
    with pytest.raises(
        MissingPackageError, match=rf"{spec.requires[0]} is not installed.*mimdit\[{spec.target}\]"
    ) as caught:
        find_runtime(spec.target)
    if spec.alone:
        assert f"pip install {spec.alone}  where bundles are only run" in str(caught.value)


def test_restoring_needs_no_torch(built: Built) -> None:
    """In a process that refuses to import it: what a device has."""
    if built.converter.target == "executorch":
        pytest.skip("ExecuTorch's own Python bindings import torch")
    built.open()
    done = subprocess.run(
        [sys.executable, "-c", _RESTORE_WITHOUT_TORCH, str(built.path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["(40,", "30,", "3)"]


_RESTORE_WITHOUT_TORCH = """
import sys
sys.modules.update(dict.fromkeys(("torch", "onnx", "diffusers", "litert_torch", "nncf", "coremltools")))
import numpy, mimdit
print(mimdit.restore(numpy.full((40, 30, 3), 128, numpy.uint8), mimdit.load_bundle(sys.argv[1])).shape)
"""


def test_every_target_is_exported_once_and_has_a_runtime() -> None:
    combinations = [(converter.target, precision) for converter, precision in COMBINATIONS]
    assert len(set(combinations)) == len(combinations)
    assert {converter.target for converter in EXPORTERS} == {spec.target for spec in RUNTIMES}
    for converter, precision in COMBINATIONS:
        assert precision in converter.tolerance
