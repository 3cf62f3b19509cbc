"""Six faults, planted where they are made in life: the gate catches each and names the stage."""

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from mimdit.benchmarks.accuracy import evaluate
from mimdit.benchmarks.bench import _images, _size
from mimdit.benchmarks.bisection import bisect
from mimdit.benchmarks.datasets import Case, Group, Pair
from mimdit.benchmarks.factors import factors_of
from mimdit.benchmarks.gate import gate_results
from mimdit.benchmarks.gate_rules import Rules
from mimdit.benchmarks.methods import MATCHED, bundle_method
from mimdit.benchmarks.run_file import Result
from mimdit.benchmarks.verdict import CHECKS, Finding, overall
from mimdit.bundle import open_bundle
from mimdit.errors import NotComparableError
from mimdit.manifest import ID_KEY, bundle_id, parse_manifest
from mimdit.onnx_file import Tensor, parse
from mimdit.routing.inside import experts_inside
from mimdit.runtimes.onnx import OnnxRuntime
from mimdit.runtimes.restore import Restorer

from .crafted import edit_manifest, reseal
from .run_files import a_run

PHOTOS, SIDE = 10, 96  # px: four tiles of the nano network, blended

_run = OnnxRuntime._run


@pytest.fixture(scope="module")
def base(lively, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of an untrained network whose experts count: the yardstick is what it makes of its photos."""
    from mimdit.export import EXPORTERS
    from mimdit.export.build import build
    from mimdit.export.graph import DeployableGraph

    from .frozen import FROZEN_TILE, frozen

    out = tmp_path_factory.mktemp("base") / "base.mimdit"
    graph = DeployableGraph(frozen(lively, "denoise"), tile=FROZEN_TILE, steps=1)
    build([graph], EXPORTERS[0], "fp32", out, command="none")
    _forget_golden_tile(out)
    return out


@pytest.fixture(scope="module")
def groups(base: Path) -> list[Group]:
    """Photos whose truth is what the base bundle makes of them, but for a grain of two levels."""
    restorer = Restorer(open_bundle(base), threads=1)
    rng = np.random.default_rng(0)
    cases = []
    for number in range(PHOTOS):
        drawn = Image.fromarray(rng.integers(30, 220, (8, 8, 3), np.uint8))
        soft = drawn.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        photo = np.clip(np.asarray(soft, np.int16) + rng.integers(-25, 26, (SIDE, SIDE, 1)), 0, 255).astype(np.uint8)
        restored = restorer.restore(photo, "denoise").pixels
        truth = np.clip(restored + rng.normal(0, 2, restored.shape), 0, 255).astype(np.uint8)
        cases.append(Case(f"photo {number}", partial(Pair, photo, truth)))
    return [Group("noise", "made", "denoise", tuple(cases))]


@pytest.fixture(scope="module")
def measured(groups: list[Group]) -> Callable[[Path], Result]:
    def run(path: Path) -> Result:
        bundle = open_bundle(path)
        rows = evaluate(groups, [bundle_method(bundle, [MATCHED], threads=1)], command="none").rows
        blank = a_run().results[0].model_copy(update={"latency": None, "memory": None, "energy": ()})
        known = {"size": _size(bundle), "factors": factors_of(bundle), "images": _images(rows, {})}
        return blank.model_copy(update={"name": path.name, **known})

    return run


@pytest.fixture(scope="module")
def before(base: Path, measured) -> Result:
    return measured(base)


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "new.mimdit"))


@pytest.fixture
def runs_as(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[np.ndarray], np.ndarray]], None]:
    """Puts a fault between the network and whoever runs it: [1,3,T,T] → the same."""
    return lambda fault: monkeypatch.setattr(OnnxRuntime, "_run", lambda self, *inputs: fault(_run(self, *inputs)))


def findings(now: Result, before: Result) -> list[Finding]:
    return gate_results(now, before, Rules(), CHECKS)


def stages(found: list[Finding]) -> set[str | None]:
    return {finding.stage for finding in found if finding.outcome == "regressed" and finding.check != "size"}


def test_the_same_bundle_passes(copy: Path, before: Result, measured) -> None:
    assert overall(findings(measured(copy), before)) == "pass"


def test_a_dropped_expert(copy: Path, before: Result, measured) -> None:
    """The file keeps its tensors, but one sub-expert's last convolution is nought."""
    tensors = parse((copy / "denoise-64.onnx").read_bytes()).tensors
    block, name = sorted(experts_inside(tensor.name for tensor in tensors))[0]
    for tensor in tensors:
        if f"branch.blocks.{block}.experts.{name}.out." in tensor.name:
            _write(copy, tensor, bytes(tensor.length))
    reseal(copy)
    found = findings(measured(copy), before)
    assert stages(found) == {"freeze"}
    assert f"sub-expert {name} of MiM block {block}" in next(f.note for f in found if f.check == "contents")


def test_red_and_blue_exchanged(base: Path, before: Result, measured, runs_as) -> None:
    runs_as(lambda restored: np.ascontiguousarray(restored[:, ::-1]))
    found = findings(measured(base), before)
    assert stages(found) == {"colour"}
    assert {f.check for f in found if f.outcome == "regressed"} == {"accuracy", "defects"}


def test_scales_of_another_set(base: Path, tmp_path: Path, measured) -> None:
    """Quantized twice, as the quantizers of ONNX Runtime do it: once calibrated on photos, once on night."""
    bad = _quantized(base, tmp_path / "night.mimdit", 0.05)
    before = measured(_quantized(base, tmp_path / "photos.mimdit", 1.0))
    assert before.factors is not None
    assert before.factors.scales is not None
    found = findings(measured(bad), before)
    assert stages(found) == {"quantize"}
    assert {f.check for f in found if f.outcome == "regressed"} >= {"accuracy", "contents"}


@pytest.mark.parametrize(
    ("fault", "words"),
    [(np.zeros_like, "black blocks"), (lambda restored: np.full_like(restored, np.nan), "not restored")],
    ids=["black", "nan"],
)
def test_overflow(base: Path, before: Result, measured, runs_as, fault, words: str) -> None:
    """fp16 ends at 65504: what lies beyond is infinite, then NaN, and a careless reader of NaN writes black."""
    runs_as(fault)
    found = findings(measured(base), before)
    assert stages(found) == {"run"}
    assert words in next(f.note for f in found if f.check == "defects")


def test_a_tile_off_by_one(base: Path, before: Result, measured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fourth tile, the last of each photo, is written one pixel to the right."""
    turns: Iterator[int] = iter(range(10**6))

    def displaced(self: OnnxRuntime, image: np.ndarray, photo: np.ndarray) -> np.ndarray:
        restored = _run(self, image, photo)
        return np.roll(restored, 1, axis=3) if next(turns) % 5 == 4 else restored

    monkeypatch.setattr(OnnxRuntime, "_run", displaced)
    found = findings(measured(base), before)
    assert "tile" in stages(found)
    assert "one pixel off" in next(f.note for f in found if f.check == "defects")


def test_stale_weights(copy: Path, before: Result, measured) -> None:
    """The manifest tells of a new checkpoint, the weights are those of the old one: no photo shows it."""

    _renew(copy, checkpoint="ef" * 32)
    found = findings(measured(copy), before)
    assert stages(found) == {"export"}
    assert "stale weights" in next(f.note for f in found if f.check == "contents")


def test_bisect_names_the_calibration(base: Path, tmp_path: Path, groups: list[Group]) -> None:
    good, bad = (_quantized(base, tmp_path / f"{level}.mimdit", level) for level in (1.0, 0.05))
    found = bisect(open_bundle(good), open_bundle(bad), groups, threads=1)
    assert [suspect.name for suspect in found.suspects] == ["calibration"]
    assert found.culprit == "calibration"
    assert found.good - found.bad > 0.5
    assert found.suspects[0].cost == pytest.approx(found.good - found.bad, abs=1e-3)


def test_bisect_names_the_weights_not_the_converter(copy: Path, base: Path, groups: list[Group]) -> None:
    """The trunk is a tenth too large; a package that built the bundle is another one too, and did no harm."""
    stored = (copy / "weights.bin").read_bytes()
    for tensor in parse((copy / "denoise-64.onnx").read_bytes()).tensors:
        if tensor.location and tensor.data_type == onnx.TensorProto.FLOAT16 and "experts" not in tensor.name:
            values = np.frombuffer(stored, np.float16, tensor.length // 2, tensor.offset)
            _write(copy, tensor, (values * np.float16(1.1)).tobytes())
    _renew(copy, checkpoint="ef" * 32, built_with={**open_bundle(base).manifest.built_with, "torch": "2.14.0"})
    found = bisect(open_bundle(base), open_bundle(copy), groups, threads=1)
    assert [suspect.name for suspect in found.suspects] == ["weights"]
    assert found.culprit == "weights"
    with pytest.raises(NotComparableError, match="do not differ"):
        bisect(open_bundle(base), open_bundle(base), groups, threads=1)


def _forget_golden_tile(folder: Path) -> None:
    """It is checked when a model is opened, and would stop most of these faults before any photo is restored."""

    def forget(content: dict[str, Any]) -> None:
        parts = (content, *content["models"])
        golden = [part.pop("golden", None) for part in parts]
        names = {tile["file"] if isinstance(tile, dict) else tile for tile in golden if tile}
        for name in names:
            (folder / name).unlink()

    edit_manifest(folder, forget)
    reseal(folder)


def _write(folder: Path, tensor: Tensor, content: bytes) -> None:
    """Overwrite one tensor where it lies."""
    with (folder / (tensor.location or "denoise-64.onnx")).open("r+b") as file:
        file.seek(tensor.offset)
        file.write(content)


def _renew(folder: Path, **changes: object) -> None:
    """Change what goes into a bundle's id, and the id with it, in the manifest and in the file."""
    manifest = parse_manifest((folder / "manifest.json").read_bytes())
    names = ("checkpoint", "precision", "built_with")
    told: dict[str, Any] = {name: changes.get(name, getattr(manifest, name)) for name in names}
    told["id"] = bundle_id(
        plans=[model.plan for model in manifest.models],
        target=manifest.target,
        tiles=[model.tile for model in manifest.models],
        **told,
    )
    edit_manifest(folder, lambda content: content.update(told))
    model = onnx.load(folder / "denoise-64.onnx", load_external_data=False)
    next(pair for pair in model.metadata_props if pair.key == ID_KEY).value = told["id"]
    onnx.save(model, folder / "denoise-64.onnx")
    reseal(folder)


def _quantized(base: Path, out: Path, level: float) -> Path:
    """The bundle at w8a8, calibrated on tiles of that brightness; what its manifest says stays the same."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Tiles(CalibrationDataReader):
        def __init__(self) -> None:
            rng = np.random.default_rng(0)
            shapes = {"image": (1, 3, 64, 64), "photo": (1, 3, 64, 64)}
            self._tiles = iter([{k: level * rng.random(s, np.float32) for k, s in shapes.items()} for _ in range(2)])

        def get_next(self) -> dict[str, np.ndarray] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
            return next(self._tiles, None)

    shutil.copytree(base, out)
    whole, small = out.parent / f"{out.stem}-whole.onnx", out.parent / f"{out.stem}-w8a8.onnx"
    onnx.save(onnx.load(base / "denoise-64.onnx"), whole)
    quantize_static(
        whole,
        small,
        Tiles(),
        quant_format=QuantFormat.QDQ,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv"],
    )
    (out / "weights.bin").unlink()
    shutil.copyfile(small, out / "denoise-64.onnx")
    _renew(out, precision="w8a8")
    return out
