"""Accuracy per unit: a unit that does not restore the golden tile as the bundle says is barred, and the photo is right.

The unit is simulated: the bundle's ONNX file, in which one operation overflows as it would in fp16.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from mimdit import runtimes
from mimdit.bundle import open_bundle, write_bundle
from mimdit.errors import BundleError, MimditError
from mimdit.manifest import GoldenTile, Manifest, ModelEntry
from mimdit.pixels import to_unit
from mimdit.runtimes.base import Runtime, RuntimeSpec
from mimdit.runtimes.onnx import RUNTIME, OnnxRuntime
from mimdit.runtimes.restore import Restorer
from mimdit.runtimes.units import STEP, golden_inputs

from .small import SMALL_TILE, small_manifest

GAIN = 0.5
LARGE = 100_000.0  # beyond 65,504, where fp16 ends


def _times(nodes: list[onnx.NodeProto], path: Path) -> None:
    """restored = clip(image × LARGE × GAIN / LARGE), by the nodes given."""
    tile = [1, 3, SMALL_TILE, SMALL_TILE]
    inputs = [
        helper.make_tensor_value_info("image", 1, tile),
        helper.make_tensor_value_info("photo", 1, [1, 3, 64, 64]),
    ]
    values = {"large": LARGE, "back": GAIN / LARGE, "zero": 0.0, "one": 1.0}
    constants = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "times", inputs, [helper.make_tensor_value_info("restored", 1, tile)], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


FIRST = helper.make_node("Mul", ["image", "large"], ["huge"])
REST = [
    helper.make_node("Mul", ["read", "back"], ["scaled"]),
    helper.make_node("Clip", ["scaled", "zero", "one"], ["restored"]),
]
SOUND = [FIRST, helper.make_node("Identity", ["huge"], ["read"]), *REST]
IN_HALF = [
    FIRST,
    helper.make_node("Cast", ["huge"], ["half"], to=TensorProto.FLOAT16),
    helper.make_node("Cast", ["half"], ["read"], to=TensorProto.FLOAT),
    *REST,
]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of one variant with its golden tile."""
    small = small_manifest(variants=("denoise",), dispatcher=False)
    (model,) = small.models
    golden = "denoise-64.golden.png"
    models = (ModelEntry.model_validate({**dict(model), "golden": golden}),)
    manifest = Manifest.model_validate(
        {**dict(small), "models": models, "golden": GoldenTile(file="golden.png", tolerance=3.5 / 255)}
    )

    def fill(folder: Path) -> None:
        _times(SOUND, folder / model.file)
        picture = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / "golden.png")
        expected = golden_inputs(picture, SMALL_TILE)[0][0].transpose(1, 2, 0)[::STEP, ::STEP] * GAIN
        Image.fromarray(np.round(expected * 255).astype(np.uint8)).save(folder / golden)

    write_bundle(tmp_path / "golden.mimdit", manifest, fill)
    return tmp_path / "golden.mimdit"


class _Npu(OnnxRuntime):
    """A unit that keeps what one multiplication makes in fp16."""

    runs = 0

    def __init__(self, path: Path, tile: int, threads: int | None):
        bad = path.parent.parent / "in-half.onnx"
        _times(IN_HALF, bad)
        super().__init__(bad, tile, threads)
        self.unit = "npu"

    def _run(self, image: np.ndarray, photo: np.ndarray) -> np.ndarray:
        _Npu.runs += 1
        return super()._run(image, photo)


@pytest.fixture(autouse=True)
def _two_units(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """ONNX Runtime's registry line, with an NPU before the CPU, and a cache of its own."""

    def open_on(path: Path, tile: int, threads: int | None, provider: str) -> Runtime:
        if provider == "gpu":
            raise MimditError("no such device here")
        return _Npu(path, tile, threads) if provider == "npu" else OnnxRuntime(path, tile, threads)

    spec = replace(RUNTIME, open_on=open_on, providers=("npu", "gpu", "cpu"))
    monkeypatch.setattr(runtimes, "RUNTIMES", (spec,))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    _Npu.runs = 0


def _photo() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (80, 100, 3), dtype=np.uint8)


def test_a_unit_with_a_bad_operation_is_barred_and_the_photo_is_right(bundle: Path) -> None:
    told: list[str] = []
    restored = Restorer(open_bundle(bundle), threads=1, provider="npu", tell=told.append).restore(_photo())
    assert restored.runtime == "onnx/cpu"
    assert np.abs(to_unit(restored.pixels) - GAIN * to_unit(_photo())).max() < 1.01 / 255
    (line,) = told
    assert line.startswith("denoise-64.onnx is not run on onnx/npu: off by ")
    assert line.endswith(" levels of 255 on the golden tile, at most 3.5 are allowed")


def test_a_verdict_is_kept_for_the_next_time(bundle: Path, tmp_path: Path) -> None:
    for runs in (1, 1):
        Restorer(open_bundle(bundle), threads=1, provider="npu", tell=lambda line: None).restore(_photo())
        assert _Npu.runs == runs
    kept = [json.loads(path.read_text()) for path in (tmp_path / "cache" / "mimdit" / "units").iterdir()]
    assert sorted((verdict["unit"], verdict["error"] < 0.014) for verdict in kept) == [("cpu", True), ("npu", False)]


def _another_version(spec: RuntimeSpec) -> RuntimeSpec:
    return replace(spec, version=lambda: "another")


@pytest.mark.parametrize("change", [_another_version, None], ids=["another version", "a damaged file"])
def test_a_verdict_that_does_not_hold_is_found_anew(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[RuntimeSpec], RuntimeSpec] | None
) -> None:
    Restorer(open_bundle(bundle), provider="npu", tell=lambda line: None).restore(_photo())
    if change is not None:
        monkeypatch.setattr(runtimes, "RUNTIMES", (change(runtimes.RUNTIMES[0]),))
    else:
        for path in (tmp_path / "cache" / "mimdit" / "units").iterdir():
            path.write_bytes(b'{"error": 0.0')
    Restorer(open_bundle(bundle), provider="npu", tell=lambda line: None).restore(_photo())
    assert _Npu.runs == 2


def test_a_cache_that_cannot_be_written_costs_a_tile_and_no_more(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("a file where the cache's folder would be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "taken"))
    for _ in range(2):
        restored = Restorer(open_bundle(bundle), provider="npu", tell=lambda line: None).restore(_photo())
        assert restored.runtime == "onnx/cpu"


def test_where_no_unit_is_left_nothing_is_restored(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "RUNTIMES", (replace(runtimes.RUNTIMES[0], providers=("npu", "gpu")),))
    with pytest.raises(BundleError, match=r"cannot be trusted on onnx/npu, and no unit is left: off by") as caught:
        Restorer(open_bundle(bundle), provider="npu", tell=lambda line: None).restore(_photo())
    assert "\n" not in str(caught.value)


def test_a_bundle_without_a_golden_tile_is_used_as_it_is(small: Path) -> None:
    told: list[str] = []
    Restorer(open_bundle(small), tell=told.append).restore(_photo(), "denoise")
    assert not told


@pytest.mark.parametrize("content", [b"no picture", None], ids=["no PNG", "another size"])
def test_a_golden_tile_that_is_none_says_so_in_one_line(bundle: Path, content: bytes | None) -> None:
    from .crafted import reseal

    path = bundle / "denoise-64.golden.png"
    path.write_bytes(content) if content else Image.new("RGB", (8, 8)).save(path)
    reseal(bundle)
    with pytest.raises(BundleError, match=r"denoise-64\.golden\.png is no golden tile: [^\n]*; rebuild"):
        Restorer(open_bundle(bundle), threads=1).restore(_photo())
