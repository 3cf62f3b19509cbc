"""The results document: bars that can be missed, peers beside the variant, sampling described, all from one run."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mimdit.benchmarks import results, results_tables
from mimdit.benchmarks.accuracy_report import Summary
from mimdit.benchmarks.bars import bars, dynamic_bar
from mimdit.benchmarks.quality import Quality, gradient_ratio
from mimdit.model.checkpoint import save_model
from mimdit.model.mimdit import MiMDiT
from mimdit.pixels import to_unit
from mimdit.targets import VARIANTS

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
        "clean photos (clean_cbsd34) through dehaze, mean": False,
        "clean photos (clean_set5) through dehaze, mean": True,
        "clean photos (clean_cbsd34) through auto, mean": False,  # one of them was changed
    }


def test_a_missed_bar_says_by_how_much() -> None:
    rows = results_tables.bar_table(bars([summary("rain", "clean_cbsd34", OURS, "derain", 23, 29.5)], OURS)).rows
    assert rows == (("rain (clean_cbsd34)", "30.00", "29.50", "no: -0.50"),)


def test_a_variant_stands_beside_general_and_auto() -> None:
    rows = [
        summary("noise-25", "a", OURS, "denoise", 20, 30),
        summary("noise-25", "a", OURS, "general", 20, 27),
        summary("noise-25", "a", OURS, "auto", 20, 29),
        summary("clean", "a", OURS, "denoise", 100, 40),
    ]
    (row,) = results_tables.restored_table(rows, OURS).rows
    assert row == ("noise-25 (a)", "3", "20.00", "30.00", "27.00", "29.00")


def test_the_best_peer_comes_first() -> None:
    rows = [
        summary("noise-25", "a", OURS, "denoise", 20, 30),
        summary("noise-25", "a", "weak", None, 20, 24),
        summary("noise-25", "a", "strong", None, 20, 28),
    ]
    (row,) = results_tables.today_table(rows, OURS).rows
    assert row == ("noise-25 (a)", "3", "20.00", "30.00", "strong 28.00, weak 24.00")


def test_a_bundle_without_the_variant_has_none_in_its_column() -> None:
    rows = [summary("noise-25", "a", OURS, "general", 20, 24), summary("noise-25", "a", "peer", None, 20, 25)]
    assert results_tables.restored_table(rows, OURS).rows == (("noise-25 (a)", "3", "20.00", "–", "24.00", "–"),)
    assert results_tables.today_table(rows, OURS).rows == (("noise-25 (a)", "3", "20.00", "–", "peer 25.00"),)
    mixed = [summary("rain+blur", "a", OURS, "general", 20, 24)]
    assert results_tables.restored_table(mixed, OURS).rows == (("rain+blur (a)", "3", "20.00", "24.00", "24.00", "–"),)


def test_photos_without_truths_are_in_no_table() -> None:
    rows = [
        Summary(
            degradation="haze", dataset="unpaired", method=method, variant=variant, images=3, failed=0, suspicious=0,
            input=Quality(), restored=Quality(), cast=None, seconds=None,
        )
        for method, variant in ((OURS, "dehaze"), ("dark-channel prior", None))
    ]  # fmt: skip
    assert results_tables.restored_table(rows, OURS).rows == ()
    assert results_tables.today_table(rows, OURS).rows == ()
    assert results_tables.quality_table(rows, OURS).rows == ()
    assert results_tables.look_table(rows, OURS).rows == (("haze (unpaired), dehaze", "3", "0", "–", "–", "–"),)


def test_clean_photos_are_shown_with_the_worst_of_them() -> None:
    (first, *others) = [summary("clean", "a", OURS, name, 100, 41.25) for name in (*VARIANTS, "auto")]
    rows = [first.model_copy(update={"least": 29.06}), *others]
    (cells,) = results_tables.clean_table(rows, OURS).rows
    assert cells[:3] == ("a", "41.25 / 29.1", "41.25 / –")


def test_peers_are_likened_too() -> None:
    def measured(method: str, variant: str | None, ssim: float) -> Summary:
        found = summary("noise", "a", method, variant, 20, 30)
        return found.model_copy(update={"restored": Quality(psnr=30, ssim=ssim, flip=0.1)})

    rows = [measured(OURS, "denoise", 0.9), measured("weak", None, 0.8), measured("strong", None, 0.95)]
    (cells,) = results_tables.quality_table(rows, OURS).rows
    assert cells == ("noise (a)", "– / –", "0.900 / 0.100", "strong 0.950 / 0.100, weak 0.800 / 0.100")


def test_a_blurred_photo_has_less_gradient_than_its_truth() -> None:
    sharp = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    soft = np.asarray(Image.fromarray(sharp).resize((8, 8)).resize((32, 32), Image.Resampling.BICUBIC))
    assert gradient_ratio(to_unit(sharp), to_unit(sharp)) == pytest.approx(1)
    assert (gradient_ratio(to_unit(soft), to_unit(sharp)) or 1) < 0.5
    flat = np.full((8, 8, 3), 0.5, np.float32)
    assert gradient_ratio(flat, flat) is None, "what has no detail is neither sharp nor soft"
    assert gradient_ratio(flat[:1], flat[:1]) is None


def test_the_degradation_where_a_variant_gains_least_is_held_against_its_bar() -> None:
    rows = [
        summary("rain", "a", OURS, "derain", 20, 29),
        summary("rain", "a", "student-1, 1 step", "dynamic", 20, 28),
        summary("blur", "a", OURS, "deblur", 20, 23.9),
        summary("blur", "a", "student-1, 1 step", "dynamic", 20, 24),
        summary("rain", "a", OURS, "general", 20, 10),  # which is for mixtures
        summary("rain+blur", "a", OURS, "general", 20, 24.5),
        summary("rain+blur", "a", "student-1, 1 step", "dynamic", 20, 24),
    ]
    single, mixed = dynamic_bar(rows, OURS, "student-1, 1 step")
    assert (single.what, single.holds) == ("variant over dynamic student, first photos, least of 2: blur (a)", False)
    assert single.found == pytest.approx(-0.1)
    assert (mixed.what, mixed.holds) == ("general over dynamic student, first photos, least of 1: rain+blur (a)", True)
    assert dynamic_bar(rows[:1], OURS, "student-1, 1 step") == []


def test_samplers_stand_beside_variant_general_and_auto() -> None:
    names = ["reference, 1 step", "reference, 2 steps", "student-1, 1 step"]
    rows = [
        *(summary("rain", "a", name, "dynamic", 20, db) for name, db in zip(names, (24, 25, 26), strict=True)),
        summary("rain", "a", OURS, "derain", 20, 29),
        summary("rain", "a", OURS, "general", 20, 22),
        summary("rain", "a", OURS, "auto", 20, 28),
    ]
    table = results_tables.steps_table(rows, OURS, names)
    assert table.rows == (("rain (a)", "3", "20.00", "24.00", "25.00", "26.00", "29.00", "22.00", "28.00"),)
    assert results_tables.sampling_counts(rows, OURS, names, names[-1]) == (
        "Of 1 groups the reference restores most in 1 with 2 steps; "
        "above that is the input in 0, `student-1, 1 step` in 1, the variant in 1.\n"
    )
    assert results_tables.sampling_counts([], OURS, names, names[-1]) == ""


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
        data, tmp_path / "weights", tmp_path / "results.md", only="noise-25,clean", keep=tmp_path / "kept", each=1
    )
    text = (tmp_path / "results.md").read_text()
    whole, sampled = text.split("## From the reference to the variants")
    assert "| noise-25 (clean_us) | 2 |" in whole
    assert "OpenCV non-local means, told" in whole
    assert "| noise-25 (clean_us) | 1 |" in sampled
    assert "| reference, 20 steps | student-1, 1 step | student-2, 2 steps | variant | general | auto |" in sampled
    assert "| FLIP / sharpness | input | reference, 1 step |" in sampled
    assert "| denoise, frozen | 512 | 1 |" in text
    assert "| student-2, dynamic | 256 | 2 |" in text
    assert "variant over dynamic student, first photos, least of 1" in text
    assert {path.name for path in (tmp_path / "kept").glob("*.json")} == {"accuracy.json", "sampling.json"}
    rows = next((tmp_path / "kept").glob("rows-*.jsonl")).read_text().splitlines()
    steps = {json.loads(line)["row"]["method"] for line in rows}
    assert {"reference, 1 step", "reference, 20 steps", OURS} <= steps  # the students are the same network here
    results.main(
        data, tmp_path / "weights", tmp_path / "again.md", only="noise-25,clean", keep=tmp_path / "kept", each=1
    )
    assert (tmp_path / "again.md").read_text() == text
    assert next((tmp_path / "kept").glob("rows-*.jsonl")).read_text().splitlines() == rows, "nothing is measured twice"
