"""Every runtime keeps the contract, and the registry finds it."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from mimdit.bundle import open_bundle, write_bundle
from mimdit.errors import BundleError, MimditError, MissingPackageError
from mimdit.runtimes import RUNTIMES, find, open_runtime
from mimdit.runtimes import onnx as onnx_runtime
from mimdit.runtimes.dispatch import ORDER, Dispatcher, choose
from mimdit.runtimes.echo import EchoRuntime
from mimdit.targets import DISPATCHER_CLASSES, VARIANTS, Variant
from mimdit.views import photo_crops

from .small import SMALL_TILE, fill_small, small_manifest

TILE = np.full((1, 3, SMALL_TILE, SMALL_TILE), 0.25, np.float32)
PHOTO = np.full((1, 3, 64, 64), 0.5, np.float32)


class Faulty(EchoRuntime):
    def __init__(self, output: np.ndarray):
        super().__init__(SMALL_TILE)
        self._output = output

    def _run(self, image: np.ndarray, photo: np.ndarray) -> np.ndarray:
        return self._output


def test_onnx_runs_a_bundle(small: Path) -> None:
    runtime = open_runtime(open_bundle(small), "denoise", threads=1)
    assert (runtime.name, runtime.unit, runtime.tile) == ("onnx", "cpu", SMALL_TILE)
    assert np.array_equal(runtime.run(TILE, PHOTO), TILE)


@pytest.mark.parametrize(
    ("image", "photo"),
    [
        (TILE[:, :, 1:], PHOTO),
        (TILE.astype(np.float64), PHOTO),
        (TILE + 1, PHOTO),
        (TILE * np.float32(np.nan), PHOTO),
        (TILE, PHOTO[..., 1:]),
        (TILE, PHOTO - 1),
    ],
)
def test_inputs_that_break_the_contract_are_refused(image: np.ndarray, photo: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"input (image|photo) of runtime echo"):
        EchoRuntime(SMALL_TILE).run(image, photo)


@pytest.mark.parametrize("output", [TILE[0], TILE + 1, TILE * np.float32(np.nan), TILE.astype(np.float16)])
def test_outputs_that_break_the_contract_are_refused(output: np.ndarray) -> None:
    with pytest.raises(BundleError, match="needs a rebuild"):
        Faulty(output).run(TILE, PHOTO)


def test_a_file_that_is_no_model_ends_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no protobuf")
    with pytest.raises(BundleError, match="does not load") as caught:
        onnx_runtime.OnnxRuntime(path, SMALL_TILE)
    assert "\n" not in str(caught.value)


def test_a_model_of_another_tile_size_is_refused(small: Path) -> None:
    with pytest.raises(BundleError, match="must map"):
        onnx_runtime.OnnxRuntime(small / f"denoise-{SMALL_TILE}.onnx", 128)


@pytest.mark.parametrize("provider", ["cuda", "abacus"])
def test_a_provider_that_is_not_here_names_those_that_are(
    small: Path, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(MimditError, match=f"no provider '{provider}' here: choose one of cpu$"):
        open_runtime(open_bundle(small), "denoise", provider=provider)
    runtime = open_runtime(open_bundle(small), "denoise", threads=1, provider="cpu")
    assert (runtime.name, runtime.unit) == ("onnx", "cpu")


def test_a_provider_that_falls_back_is_refused(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime was built with it, but its driver is missing: left alone it would run on the CPU without a word."""
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    with pytest.raises(BundleError, match="does not load on CUDAExecutionProvider"):
        open_runtime(open_bundle(small), "denoise", provider="cuda")


def test_a_target_without_runtime_names_those_there_are() -> None:
    with pytest.raises(BundleError, match="no runtime for target abacus; it runs onnx"):
        find("abacus")


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimdit.runtimes.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"onnxruntime is not installed.*mimdit\[onnx\]"):
        find("onnx")


def test_the_registry_lists_each_target_once() -> None:
    targets = [spec.target for spec in RUNTIMES]
    assert len(set(targets)) == len(targets)


def test_dispatcher_scores_and_chooses(small: Path) -> None:
    dispatcher = Dispatcher(open_bundle(small), threads=1)
    photo = np.zeros((30, 50, 3), np.uint8)
    assert dispatcher.chain(dispatcher.scores(photo)) == ()
    photo[..., 0] = 204
    scores = dispatcher.scores(photo)
    assert scores["denoise"] == pytest.approx(0.8, abs=1e-5)
    assert dispatcher.chain(scores) == ("denoise",)
    photo[..., 1] = 204
    assert dispatcher.chain(dispatcher.scores(photo)) == ("denoise", "deblur")


def test_choose_stays_within_the_bundle() -> None:
    scores: dict[Variant, float] = {"denoise": 0.7, "deblur": 0.9, "dehaze": 0.1}
    assert choose(scores, 0.5, ("denoise", "deblur", "general")) == ("denoise", "deblur")
    assert choose(scores, 0.5, ("denoise", "dehaze")) == ("denoise",)
    assert choose(scores, 0.95, ("denoise", "deblur", "general")) == ()


def test_choose_chains_two_last_damage_first_and_leaves_three_to_general() -> None:
    scores: dict[Variant, float] = {"lowlight": 0.9, "dejpeg": 0.8, "denoise": 0.85}
    assert choose(scores, 0.82, VARIANTS) == ("denoise", "lowlight")
    assert choose(scores, 0.5, VARIANTS) == ("general",)
    assert choose(scores, 0.5, DISPATCHER_CLASSES) == ("denoise", "lowlight")
    assert sorted(ORDER) == sorted(DISPATCHER_CLASSES)


def test_crops_are_native_pixels_from_corner_to_the_last_block() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (300, 500, 3), dtype=np.uint8)
    crops = photo_crops(photo, 64, 16)
    assert crops.shape == (16, 3, 64, 64)
    assert np.array_equal(crops[0].transpose(1, 2, 0), photo[:64, :64] / np.float32(255))
    assert np.array_equal(crops[15].transpose(1, 2, 0), photo[232:296, 432:496] / np.float32(255))
    assert photo_crops(photo[:1, :1], 64, 16).shape == (16, 3, 64, 64)


def test_a_dispatcher_of_another_shape_is_refused(tmp_path: Path) -> None:
    manifest = small_manifest()

    def fill(folder: Path) -> None:
        fill_small(manifest, folder)
        model = onnx.load(folder / "dispatcher.onnx")
        model.graph.input[1].type.tensor_type.shape.dim[0].dim_value = 9
        onnx.save(model, folder / "dispatcher.onnx")

    write_bundle(tmp_path / "odd.mimdit", manifest, fill)
    with pytest.raises(BundleError, match="must map"):
        Dispatcher(open_bundle(tmp_path / "odd.mimdit"))
