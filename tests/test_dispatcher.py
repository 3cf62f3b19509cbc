"""The dispatcher: its inputs, its training, its file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from mimdit.bundle import open_bundle
from mimdit.degrade import defocus_blur, gaussian_noise, jpeg
from mimdit.errors import CheckpointError
from mimdit.export.dispatcher import FILE, TOLERANCE, add_dispatcher, export_dispatcher
from mimdit.model.dispatcher import (
    MEMBERS,
    WEIGHTS,
    Dispatcher,
    DispatcherConfig,
    example_inputs,
    load_dispatcher,
    save_dispatcher,
)
from mimdit.model.lines import line_statistics
from mimdit.model.statistics import _crop_statistics
from mimdit.targets import DEGRADATIONS, DISPATCHER_CLASSES
from mimdit.train.data import PhotoScales
from mimdit.train.dispatcher import (
    THRESHOLD,
    DispatcherRun,
    arguable,
    calibrate,
    choose_thresholds,
    dispatcher_loss,
    train_dispatcher,
)
from mimdit.train.dispatcher_examples import EITHER, NO_PHOTO, draw_example
from mimdit.views import CROP, CROPS, dispatcher_inputs


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small photos: soft shapes, and texture that blur would lose."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(10):
        soft = Image.fromarray(rng.integers(40, 220, (6, 8, 3), dtype=np.uint8)).resize((400, 330))
        texture = rng.integers(-20, 20, (330, 400, 1))
        Image.fromarray(np.clip(np.asarray(soft) + texture, 0, 255).astype(np.uint8)).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def run() -> DispatcherRun:
    return DispatcherRun(steps=4, batch=4, examples=40, checks=12, log_every=1)


@pytest.mark.parametrize("shape", [(1, 1), (40, 300), (321, 481), (1000, 700)])
def test_inputs_of_any_photo(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    photo, crops = dispatcher_inputs(pixels)
    assert photo.shape == (1, 3, 64, 64)
    assert crops.shape == (CROPS, 3, CROP, CROP)
    assert photo.dtype == crops.dtype == np.float32
    assert np.allclose(photo.mean(axis=(0, 2, 3)), pixels.mean(axis=(0, 1)) / 255, atol=1e-3)


def test_crops_begin_where_jpeg_blocks_begin() -> None:
    y, x = np.mgrid[0:501, 0:333] % 8
    phase = np.stack([y, x, x], axis=-1).astype(np.float32) / 7
    _, crops = dispatcher_inputs(phase)
    assert np.array_equal(crops[:, :, 0, 0], np.zeros((CROPS, 3), np.float32))


def test_scores_are_one_row_a_photo() -> None:
    photo, crops = example_inputs()
    model = Dispatcher().eval()
    with torch.no_grad():
        one = model(photo, crops)
        two = model(torch.cat([photo, photo / 2]), torch.cat([crops, crops / 2]))
    assert one.shape == (1, len(DISPATCHER_CLASSES))
    assert two.shape == (2, len(DISPATCHER_CLASSES))
    assert torch.allclose(two[:1], one, atol=1e-6)
    assert bool(((one > 0) & (one < 1)).all())
    assert sum(p.numel() for p in model.parameters()) < 250_000


@pytest.mark.parametrize("kind", ["clean", "mixture", *DEGRADATIONS])
def test_examples_say_what_they_are(kind: str, photos: Path, tmp_path: Path) -> None:
    scales = PhotoScales(photos, tmp_path)
    photo, wanted, _ = draw_example(scales, [0, 1], kind, np.random.default_rng(3))  # pyright: ignore[reportArgumentType]
    assert photo.dtype == np.float32
    assert np.array_equal(np.rint(photo * 255) / np.float32(255), photo)
    assert np.count_nonzero(wanted == 1) <= {"clean": 0, "mixture": 3}.get(kind, 1)
    assert set(wanted.tolist()) <= {0, 1, EITHER}
    assert kind == "clean" or wanted.any()


def test_soft_photos_may_but_need_not_be_called_blurred(photos: Path, tmp_path: Path) -> None:
    scales = PhotoScales(photos, tmp_path)
    wanted = np.array([draw_example(scales, [0], "clean", np.random.default_rng(seed)).wanted for seed in range(60)])
    assert {DISPATCHER_CLASSES[i] for i in np.flatnonzero((wanted == EITHER).any(axis=0))} == {"deblur"}
    assert not (wanted == 1).any()
    assert 5 < (wanted == 0).all(axis=1).sum() < 55


def test_examples_are_of_one_photo_or_of_two_side_by_side(tmp_path: Path) -> None:
    for name, level in (("dark", 60), ("light", 200)):
        Image.fromarray(np.full((330, 400, 3), level, np.uint8)).save(tmp_path / f"{name}.png")
    scales = PhotoScales(tmp_path, tmp_path / "cache")
    examples = [draw_example(scales, [0, 1], "jpeg", np.random.default_rng(seed)) for seed in range(40)]
    single = [example for example in examples if example.sources[1] == NO_PHOTO]
    assert 8 < len(single) < 32
    assert {example.sources[0] for example in single} == {0, 1}
    for example in examples:
        border = np.ptp(example.photo.mean(axis=2)) > 0.1
        assert border or set(example.sources) != {0, 1}
        assert not border or NO_PHOTO not in example.sources
    unvaried = [draw_example(scales, [0, 1], "jpeg", np.random.default_rng(i), varied=False) for i in range(20)]
    assert all(example.sources[1] == NO_PHOTO for example in unvaried)


def test_grain_forbids_sharpening(photos: Path, tmp_path: Path) -> None:
    scales, blur = PhotoScales(photos, tmp_path), DISPATCHER_CLASSES.index("deblur")
    assert not any(draw_example(scales, [0], "sensor", np.random.default_rng(seed)).wanted[blur] for seed in range(30))


def test_a_faint_degradation_may_be_called_clean() -> None:
    wanted = torch.tensor([[EITHER, 0]])
    yes, no = (dispatcher_loss(torch.tensor([[logit, -2.0]]), wanted) for logit in (3.0, -3.0))
    assert torch.equal(yes, no)


def thresholds_of(logits: np.ndarray, wanted: np.ndarray, **given: np.ndarray | float) -> np.ndarray:
    clean, apart = given.pop("clean", np.ones(len(logits), bool)), given.pop("apart", np.zeros(logits.shape, bool))
    run = DispatcherRun(**{"unchecked": 1.0, **given})  # pyright: ignore[reportArgumentType]
    return choose_thresholds(run, logits, wanted, clean, apart)  # pyright: ignore[reportArgumentType]


def test_thresholds_flag_no_more_than_allowed_and_differ_by_class() -> None:
    logits = np.random.default_rng(0).normal(size=(600, 6)).astype(np.float32)
    logits[:, 2] -= 3
    thresholds = thresholds_of(logits, np.zeros((600, 6), np.int8), clean_flagged=0.02)
    assert (logits >= thresholds).sum(axis=0).tolist() == [2] * 6  # 0.02 / 6 of 600
    assert thresholds[2] < thresholds[[0, 1, 3, 4, 5]].min()


def test_what_changes_the_light_is_held_to_photos_with_other_faults_too() -> None:
    logits = np.random.default_rng(0).normal(size=(600, 6)).astype(np.float32)
    wanted, clean = np.zeros((600, 6), np.int8), np.zeros(600, bool)
    wanted[:100], clean[500:] = 1, True
    logits[clean] -= 9
    thresholds = thresholds_of(logits, wanted, clean=clean, misled=0.01)
    for i, name in enumerate(DISPATCHER_CLASSES):
        misled = (logits[100:, i] >= thresholds[i]).sum()
        assert misled == 5 if name in ("dehaze", "lowlight") else misled > 300


def test_few_bright_and_dark_photos_are_called_hazy_and_dark() -> None:
    logits = np.random.default_rng(0).normal(size=(600, 6)).astype(np.float32)
    apart = np.zeros((600, 6), bool)
    apart[:300] = True
    logits[:300] += 3
    thresholds = thresholds_of(logits, np.zeros((600, 6), np.int8), apart=apart, argued=0.05, misled=0.99)
    for i, name in enumerate(DISPATCHER_CLASSES):
        argued = (logits[:300, i] >= thresholds[i]).sum()
        assert argued == 15 if name in ("dehaze", "lowlight") else argued > 100


def test_darkness_whose_variant_is_not_asked_again_has_a_part_of_what_is_allowed() -> None:
    logits = np.random.default_rng(0).normal(size=(6000, 6)).astype(np.float32)
    thresholds = thresholds_of(logits, np.zeros((6000, 6), np.int8), clean_flagged=0.06, unchecked=0.5)
    flagged = (logits >= thresholds).sum(axis=0)
    assert {name: int(n) for name, n in zip(DISPATCHER_CLASSES, flagged, strict=True)} == {
        name: 30 if name == "lowlight" else 60 for name in DISPATCHER_CLASSES
    }


def test_photos_without_a_dark_place_or_a_bright_one_are_arguable() -> None:
    ramp = np.broadcast_to(np.linspace(0, 1, 64, dtype=np.float32), (3, 64, 64))
    flags = arguable(np.stack([ramp, 0.5 + ramp / 2, ramp / 8]))
    classes = [[DISPATCHER_CLASSES[i] for i in np.flatnonzero(row)] for row in flags]
    assert classes == [[], ["dehaze"], ["lowlight"]]


def test_calibrated_scores_share_one_threshold() -> None:
    model, thresholds = Dispatcher().eval(), np.linspace(-1, 2, 6)
    photo, crops = example_inputs()
    before = torch.logit(model(photo, crops)).detach().numpy()
    calibrate(model, thresholds)
    after = model(photo, crops).detach().numpy()
    assert np.array_equal(before >= thresholds, after >= THRESHOLD)
    assert np.allclose(torch.logit(torch.from_numpy(after)).numpy(), before - thresholds, atol=1e-5)


def test_a_run_that_stopped_ends_like_one_that_did_not(
    run: DispatcherRun, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    whole, _ = train_dispatcher(run, photos, tmp_path / "whole")

    import mimdit.train.dispatcher as training

    def killed(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "dispatcher_loss", killed)
        with pytest.raises(KeyboardInterrupt):
            train_dispatcher(run, photos, tmp_path / "killed")
    shards = sorted((tmp_path / "killed" / "examples").rglob("*.npy"))
    made = [shard.stat().st_mtime_ns for shard in shards]
    resumed, _ = train_dispatcher(run, photos, tmp_path / "killed")

    assert shards
    assert [shard.stat().st_mtime_ns for shard in shards] == made  # the long part is not done again
    expected, found = load_file(whole / WEIGHTS), load_file(resumed / WEIGHTS)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    lines = (tmp_path / "killed" / "log.jsonl").read_text().splitlines()
    assert len(lines) == MEMBERS * run.steps + 1


def test_the_file_scores_like_the_network(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    save_dispatcher(Dispatcher(), DispatcherConfig(threshold=0.25, steps=0, clean_flagged=0), tmp_path / "trained")
    entry = add_dispatcher(tmp_path / "trained", tmp_path)
    assert entry.threshold == 0.25
    assert (entry.file, entry.classes) == (FILE, DISPATCHER_CLASSES)
    assert (tmp_path / FILE).stat().st_size < 1_000_000
    model, _ = load_dispatcher(tmp_path / "trained")
    assert export_dispatcher(model, tmp_path / "again.onnx") <= TOLERANCE


def test_a_bundles_dispatcher_is_shipped_again_to_the_byte(small: Path, tmp_path: Path) -> None:
    entry = add_dispatcher(small, tmp_path)
    assert entry == open_bundle(small).manifest.dispatcher
    assert (tmp_path / FILE).read_bytes() == (small / FILE).read_bytes()


def test_a_bundle_without_a_dispatcher_has_none_to_ship(crafted: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"crafted\.mimdit has no dispatcher: name a bundle that has one"):
        add_dispatcher(crafted, tmp_path)


def test_a_damaged_dispatcher_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="train-dispatcher"):
        load_dispatcher(tmp_path)
    save_dispatcher(Dispatcher(), DispatcherConfig(threshold=0.25, steps=0, clean_flagged=0), tmp_path / "trained")
    (tmp_path / "trained" / WEIGHTS).write_bytes(b"x" * 100)
    with pytest.raises(CheckpointError):
        load_dispatcher(tmp_path / "trained")


def test_lines_are_told_by_direction_and_by_being_bright() -> None:
    rng = np.random.default_rng(0)
    grain = 0.4 + 0.01 * rng.standard_normal((64, 64))
    upright = grain.copy()
    upright[8:40, 10:60:9] += 0.2
    found = line_statistics(torch.from_numpy(np.stack([grain, upright, upright.T, 0.8 - upright])).float()[:, None])
    direction, bright = found[:, 1:9], found[:, 9:17]
    assert direction[1].argmax() == 0
    assert direction[2].argmax() == 4
    assert direction[1, 0] > direction[0, 0] + 1
    assert bright[1, 0] > bright[0, 0] + 0.5 > bright[3, 0] + 1


def test_statistics_tell_noise_blur_and_blocks_apart() -> None:
    """The numbers behind the scores: what each degradation moves is what it is known to move."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:512, 0:512] / 512
    clean = np.repeat((0.5 + 0.2 * np.sin(60 * x * x) * np.cos(50 * y))[..., None], 3, 2).astype(np.float32)
    clean = np.rint((clean + 0.01 * rng.standard_normal(clean.shape)).clip(0, 1) * 255).astype(np.float32) / 255

    def seen(photo: np.ndarray) -> torch.Tensor:
        _, crops = dispatcher_inputs(photo)
        return _crop_statistics(torch.from_numpy(crops)).mean(0)

    grain, correlation, blocks = 0, 6, 9  # places of: noise of luma, correlation at 1 px downwards, block borders
    before = seen(clean)
    assert seen(gaussian_noise(clean, 25, rng).clip(0, 1))[grain] > before[grain] + 1
    assert seen(defocus_blur(clean, 3))[correlation] > before[correlation] + 0.1
    assert seen(jpeg(clean, 10))[blocks] > before[blocks] + 0.3
