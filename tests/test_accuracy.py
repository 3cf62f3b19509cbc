"""Accuracy runs: which figures, and what they leave behind."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from mimdit.benchmarks import defects, quality
from mimdit.benchmarks.accuracy import count, evaluate
from mimdit.benchmarks.accuracy_report import Report, markdown
from mimdit.benchmarks.datasets import manifest_groups, select
from mimdit.benchmarks.methods import Answer, Attempt, Method, bundle_method
from mimdit.benchmarks.peers import peer_methods
from mimdit.benchmarks.sheets import Example, pick
from mimdit.bundle import CARD_NAME, open_bundle
from mimdit.cli.evaluate import evaluate as command
from mimdit.errors import BundleError, MimditError
from mimdit.targets import SETS_LIGHT, VARIANTS

if TYPE_CHECKING:
    from mimdit.model.mimdit import MiMDiT

from .photo_sets import photo_set, some_photo


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return photo_set(tmp_path)


@pytest.fixture
def run() -> Callable[..., "tuple[int, str, str]"]:
    app = typer.Typer()
    app.command()(command)

    def run(*args: object) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, list(map(str, args)), catch_exceptions=False)
        return result.exit_code, result.stdout, result.stderr

    return run


def test_a_bundle_that_changes_nothing_restores_its_input(small: Path, data: Path) -> None:
    """And `matched` tries what belongs to a degradation: nothing where the bundle has it not, all on clean photos."""
    groups = manifest_groups(data)
    methods = [bundle_method(open_bundle(small), ["matched", "auto"], threads=1)]
    report = evaluate(groups, methods, command="test")
    assert len(report.rows) == count(groups, methods)
    for row in report.rows:
        assert row.restored == row.input
        assert row.error is None
        assert row.defects is not None
        assert not row.defects.suspicious
        assert (row.defects.seam_score is None) == (row.used == "none")
        assert row.defects.patch_score is None or row.used in SETS_LIGHT, "no tile of the others is held to a view"
    asked = {(row.degradation, row.variant) for row in report.rows}
    assert {("clean", "denoise"), ("clean", "deblur"), ("clean", "general"), ("clean", "auto")} <= asked
    assert {("noise-25", "denoise"), ("rain+blur", "general"), ("rain", "auto")} <= asked
    assert ("rain", "derain") not in asked
    clean, blurred, hazy = (
        next(row for row in report.rows if row.dataset == name) for name in ("clean_us", "deblur_us", "haze_unpaired")
    )
    assert (clean.input.psnr, clean.input.ssim) == (quality.EQUAL_PSNR, 1)
    assert (blurred.shift, blurred.restored.psnr) == ((2, -3), quality.EQUAL_PSNR)
    assert hazy.restored.psnr is None


def test_a_report_survives_json_and_becomes_a_table(small: Path, data: Path) -> None:
    groups = select(manifest_groups(data), ["noise-25", "haze_unpaired", "clean"])
    report = evaluate(groups, [bundle_method(open_bundle(small), ["denoise"], threads=1)], command="test")
    assert Report.model_validate_json(report.model_dump_json()) == report
    summary = next(s for s in report.summary if s.degradation == "noise-25")
    figures = [row.input.psnr for row in report.rows if row.degradation == "noise-25" and row.input.psnr is not None]
    assert summary.images == len(figures) == 2
    assert summary.input.psnr == pytest.approx(np.mean(figures))
    text = markdown(report)
    assert f"| noise-25 | clean_us | small.mimdit | denoise | 2 | {summary.input.psnr:.2f} |" in text
    assert "| haze | haze_unpaired | small.mimdit | denoise | 1 | – | – | – |" in text
    assert summary.seam_score is not None
    assert f"| {summary.seam_score:.1f} | – |" in text


def test_a_model_that_breaks_its_contract_is_a_row_and_exit_code_1(
    run, data: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(photo: np.ndarray) -> Answer:
        raise BundleError("the output is not finite")

    monkeypatch.setattr(
        "mimdit.benchmarks.methods.bundle_method",
        lambda bundle, choices, threads: Method("broken", "-", lambda group: [Attempt(None, broken)]),
    )
    code, out, err = run(small, "--data", data, "--only", "denoise_us")
    assert code == 1
    assert "| noise | denoise_us | broken | – | 0 (1 failed) |" in out
    assert "| 2_in | the output is not finite |" in out
    assert "1 of 1 photos could not be restored" in err


def test_defects_are_seen_and_photos_of_nothing_have_none() -> None:
    truth = some_photo(0, 160, 200)
    rng = np.random.default_rng(0)
    noisy = np.clip(truth + rng.normal(0, 5, truth.shape), 0, 255).astype(np.uint8)
    assert not defects.defects(noisy, noisy, truth).suspicious
    stepped, black, tinted = truth.astype(np.int16), noisy.copy(), noisy.astype(np.int16)
    stepped[:, 100:] += 10
    black[32:64, 64:128] = 0
    tinted[..., 2] += 20
    assert 7 < defects.seam(np.clip(stepped, 0, 255).astype(np.uint8), truth) <= 10
    assert defects.black_blocks(black, truth) == 2
    assert defects.black_blocks(black, black) == 0
    assert 18 < defects.colour_cast(np.clip(tinted, 0, 255).astype(np.uint8), truth) < 22


def test_sheets_show_the_worst_the_median_and_the_best(run, data: Path, small: Path, tmp_path: Path) -> None:
    groups = select(manifest_groups(data), ["noise-25"])
    report = evaluate(groups, [bundle_method(open_bundle(small), ["denoise"], threads=1)], command="test")
    row, pair = report.rows[0], groups[0].cases[0].load()
    ranked = [
        Example(row.model_copy(update={"restored": row.restored.model_copy(update={"psnr": db})}), pair, pair.input)
        for db in (30.0, 10.0, 40.0, 20.0, 50.0)
    ]
    picked = {word: example.row.restored.psnr for word, example in pick(ranked).items()}
    assert picked == {"worst": 10.0, "median": 30.0, "best": 50.0}
    assert list(pick(ranked[:2])) == ["worst", "best"]

    run(small, "--data", data, "--only", "noise-25,haze_unpaired", "--variant", "denoise", "--sheets", tmp_path / "s")
    sizes = {path.name: Image.open(path).size for path in (tmp_path / "s").iterdir()}
    assert sizes == {
        "noise-25_clean-us_small.mimdit_denoise.png": (3 * 100, 2 * (18 + 72 + 4)),
        "haze_haze-unpaired_small.mimdit_denoise.png": (2 * 100, 18 + 72 + 4),
    }


def test_recording_keeps_the_bundle_sound(run, data: Path, small: Path, tmp_path: Path) -> None:
    before = open_bundle(small)
    args = (small, "--data", data, "--record", "--threads", 1, "--out", tmp_path / "out")
    code, _, _ = run(*args, "--only", "noise-15,noise-25,clean", "--variant", "matched,auto")
    assert code == 0
    code, out, _ = run(*args, "--only", "noise-25,blur", "--limit", 1, "--json")
    after = open_bundle(small)
    assert after.manifest.id == before.manifest.id
    assert {file.path for file in after.manifest.files} == {file.path for file in before.manifest.files}
    rows = {(row.variant, row.degradation): row for row in after.manifest.accuracy}
    assert list(rows) == [("denoise", "noise-15"), ("denoise", "noise-25"), ("deblur", "blur")]
    assert (rows["denoise", "noise-15"].images, rows["denoise", "noise-25"].images) == (2, 1)
    report = Report.model_validate_json(out)
    assert report == Report.model_validate_json((tmp_path / "out" / "accuracy.json").read_bytes())
    assert rows["denoise", "noise-25"].psnr == pytest.approx(report.summary[0].restored.psnr, abs=1e-3)
    assert "noise-25" in (small / CARD_NAME).read_text()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "--data DIR, or --inputs"),
        (["--data", "x", "--truth", "x"], "--data DIR, or --inputs"),
        (["--data", "DATA", "--steps", "2"], "unrolled in its files"),
        (["--data", "DATA", "--variant", "derain"], "'derain'.*auto, matched, denoise, deblur, general"),
    ],
)
def test_options_that_do_not_fit_are_refused(run, data: Path, small: Path, args: list[str], message: str) -> None:
    with pytest.raises(MimditError, match=message):
        run(small, *(str(data) if arg == "DATA" else arg for arg in args))


def test_model_folders_restore_through_torch(run, nano: "MiMDiT", data: Path, tmp_path: Path) -> None:
    from mimdit.model.checkpoint import save_model
    from mimdit.routing.freeze import freeze
    from mimdit.routing.plan import GROUPS, BlockPlan, ExpertPlan, RoutingPlan

    save_model(nano, tmp_path / "student" / "model")
    experts = tuple(ExpertPlan(group=group, expert=0, weight=0.5) for group in GROUPS)
    block = BlockPlan(experts=experts, mass_kept=1, entropy=0, agreement=1)
    plan = RoutingPlan(variant=VARIANTS[0], photos=1, blocks=(block,) * nano.shape.branch_blocks)
    save_model(freeze(nano, plan), tmp_path / "variants" / VARIANTS[0] / "model")
    only = ("--data", data, "--only", "noise-25,haze", "--limit", 1, "--json")
    _, out, _ = run(tmp_path / "student" / "model", *only, "--steps", "1,2")
    rows = Report.model_validate_json(out).rows
    assert {(row.method, row.used) for row in rows} == {("student, 1 step", "dynamic"), ("student, 2 steps", "dynamic")}
    _, out, _ = run(tmp_path / "variants", *only)
    rows = Report.model_validate_json(out).rows
    assert {(row.method, row.degradation, row.used) for row in rows} == {("variants, 1 step", "noise-25", "denoise")}
    for model in ("student/model", f"variants/{VARIANTS[0]}/model"):
        with pytest.raises(MimditError, match="single model"):
            run(tmp_path / model, *only, "--variant", "denoise")


def test_peers_restore_what_they_are_made_for(data: Path) -> None:
    pytest.importorskip("cv2")
    pytest.importorskip("skimage")
    groups = select(manifest_groups(data), ["noise-25", "defocus", "haze", "lowlight", "rain"], limit=1)
    report = evaluate(groups, [m for m in peer_methods() if m.name not in ("BM3D, told", "FFDNet, told")], command="x")
    tried = {(row.method, row.degradation) for row in report.rows}
    assert ("dark-channel prior", "haze") in tried
    assert not {method for method, degradation in tried if degradation == "rain"}
    for row in report.rows:
        assert row.error is None
        if row.degradation == "noise-25":
            assert row.input.psnr is not None
            assert row.restored.psnr is not None
            assert row.restored.psnr > row.input.psnr + 1
