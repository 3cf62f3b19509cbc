"""The results document: bars that can be missed, peers beside the variant, sampling described, all from one run."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mimdit.benchmarks import results
from mimdit.benchmarks.accuracy_report import Summary
from mimdit.benchmarks.bars import bars
from mimdit.benchmarks.quality import Quality
from mimdit.benchmarks.sampling import gradient_ratio
from mimdit.model.checkpoint import save_model
from mimdit.model.mimdit import MiMDiT

OURS = "default.mimdit"


def summary(degradation: str, dataset: str, method: str, variant: str | None, before: float, after: float) -> Summary:
    return Summary(
        degradation=degradation, dataset=dataset, method=method, variant=variant, images=3, failed=0, suspicious=0,
        input=Quality(psnr=before), restored=Quality(psnr=after), cast=None, seconds=None,
    )  # fmt: skip


def test_bars_are_held_against_inputs_peers_and_figures() -> None:
    found = bars(
        [
            summary("noise-25", "clean_cbsd34", OURS, "denoise", 20, 30.5),
            summary("noise-25", "clean_cbsd34", OURS, "general", 20, 27.0),
            summary("noise", "denoise_real", OURS, "denoise", 37, 37.2),
            summary("noise", "denoise_real", "FFDNet, told", None, 37, 37.3),
            summary("noise", "denoise_real", "BM3D, told", None, 37, 37.1),
            summary("lowlight", "lowlight_real", OURS, "lowlight", 9, 17),
            summary("lowlight", "lowlight_real", "CLAHE", None, 9, 11.5),
            summary("clean", "clean_cbsd34", OURS, "dehaze", 100, 27),
            summary("clean", "clean_set5", OURS, "dehaze", 100, 29),
            summary("clean", "clean_cbsd34", OURS, "auto", 100, 90),
        ],
        OURS,
    )
    held = {bar.what: bar.holds for bar in found}
    assert held == {
        "noise-25 (clean_cbsd34)": True,
        "noise (denoise_real), input + 0.4": False,
        "noise (denoise_real), above FFDNet, told": False,
        "lowlight (lowlight_real), CLAHE + 5": True,
        "clean photos (clean_cbsd34) through dehaze": False,
        "clean photos (clean_set5) through dehaze": True,
        "clean photos (clean_cbsd34) through auto": False,  # one of them was changed
    }


def test_a_missed_bar_says_by_how_much() -> None:
    rows = results.bar_table(bars([summary("rain", "clean_cbsd34", OURS, "derain", 23, 29.5)], OURS)).rows
    assert rows == (("rain (clean_cbsd34)", "30.00", "29.50", "no: -0.50"),)


def test_a_variant_stands_beside_general_and_auto() -> None:
    rows = [
        summary("noise-25", "a", OURS, "denoise", 20, 30),
        summary("noise-25", "a", OURS, "general", 20, 27),
        summary("noise-25", "a", OURS, "auto", 20, 29),
        summary("clean", "a", OURS, "denoise", 100, 40),
    ]
    assert results.restored_table(rows, OURS).rows == (("noise-25 (a)", "3", "20.00", "30.00", "27.00", "29.00"),)


def test_the_best_peer_comes_first() -> None:
    rows = [
        summary("noise-25", "a", OURS, "denoise", 20, 30),
        summary("noise-25", "a", "weak", None, 20, 24),
        summary("noise-25", "a", "strong", None, 20, 28),
    ]
    (row,) = results.today_table(rows, OURS).rows
    assert row == ("noise-25 (a)", "3", "20.00", "30.00", "strong 28.00, weak 24.00")


def test_a_blurred_photo_has_less_gradient_than_its_truth() -> None:
    sharp = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    soft = np.asarray(Image.fromarray(sharp).resize((8, 8)).resize((32, 32), Image.Resampling.BICUBIC))
    assert gradient_ratio(sharp, sharp) == pytest.approx(1)
    assert gradient_ratio(soft, sharp) < 0.5


def test_one_command_writes_the_document(lively: MiMDiT, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    lines = ["split\ttask\tkind\tinput\tgt\tsource\tlicence\tnote"]
    for name in ("one.png", "two.png"):
        Image.fromarray(np.random.default_rng(1).integers(60, 180, (72, 96, 3), dtype=np.uint8)).save(data / name)
        lines.append(f"public_test\tclean_us\tclean\t{name}\t\tus\tCC0\t")
    (data / "MANIFEST.tsv").write_text("\n".join(lines) + "\n")
    for name in ("reference", "student-1", "student-2"):
        save_model(lively, tmp_path / "weights" / name)
    results.main(
        data, tmp_path / "weights", tmp_path / "results.md", only="noise-25,clean", keep=tmp_path / "kept", beside=1
    )
    text = (tmp_path / "results.md").read_text()
    whole, today = text.split("## What a user has today")
    assert "| noise-25 (clean_us) | 2 |" in whole
    assert "| noise-25 (clean_us) | 1 |" in today
    assert "OpenCV non-local means, told" in text
    assert "| input | reference, 1 |" in text
    assert "reference, 20 | student, 1 | student, 2" in text
    assert "| denoise, frozen | 512 | 1 |" in text
    assert "| student, dynamic | 256 | 2 |" in text
    assert {path.name for path in (tmp_path / "kept").glob("*.json")} == {"accuracy.json", "today.json"}
