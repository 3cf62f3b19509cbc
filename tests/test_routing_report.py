"""Freezing studied: ways to freeze that agree where they must, regret that names the better variant, the document."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mimdit.benchmarks import brief_tuning
from mimdit.benchmarks import equal_budget as budget
from mimdit.benchmarks.ablations import (
    as_taken,
    carried,
    decibels,
    of_kinds,
    places_found,
    variant_parts,
    without_branch,
)
from mimdit.benchmarks.freezing import mean_gates, merge
from mimdit.benchmarks.regret import photo_regret
from mimdit.benchmarks.routing_maps import inter_weights
from mimdit.benchmarks.table import TableContent
from mimdit.errors import MimditError
from mimdit.image import load
from mimdit.metrics import psnr
from mimdit.model.checkpoint import checkpoint_hash, save_model
from mimdit.model.mimdit import MiMDiT
from mimdit.pixels import to_unit
from mimdit.routing.diff import plan_places, shared
from mimdit.routing.freeze import freeze, make_plan
from mimdit.routing.plan import GROUPS
from mimdit.routing.prior import family_of, prior_experts
from mimdit.routing.record import RouterStatistics
from mimdit.targets import DEGRADATIONS, DISPATCHER_CLASSES, VARIANTS, Variant
from mimdit.train.data import Batch

from .crafted import crafted_plan
from .frozen import frozen


@pytest.fixture
def photos(photo_folder: Path, tmp_path: Path) -> Path:
    """Every photo twice: eight are kept out of training."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in photo_folder.iterdir():
        for copy in range(2):
            (folder / f"{copy}-{path.name}").write_bytes(path.read_bytes())
    return folder


def statistics(model: MiMDiT, always: int | None) -> RouterStatistics:
    """Ten photos, evenly sure of everything; each chose sub-expert `always`, or all three in turns."""
    blocks, experts = model.shape.branch_blocks, model.shape.experts
    chosen = np.stack([np.full((blocks, 4, 1), i % experts if always is None else always) for i in range(10)])
    inter = np.full((10, blocks, 4), 0.25, np.float32)
    return RouterStatistics(inter, np.full((10, blocks, 4, experts), 1 / experts, np.float32), chosen, ("noise",) * 10)


def test_all_ways_to_freeze_agree_where_routing_never_varies(lively: MiMDiT) -> None:
    seen = statistics(lively, always=1)
    plan = make_plan("denoise", seen)
    image, photo = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    frequent = freeze(lively, plan)(image, photo)
    torch.testing.assert_close(freeze(lively, mean_gates(plan, seen))(image, photo), frequent)
    torch.testing.assert_close(merge(lively, plan, seen)(image, photo), frequent)


def test_mean_gates_keep_every_sub_expert_that_was_used(lively: MiMDiT) -> None:
    seen = statistics(lively, always=None)
    plan = mean_gates(make_plan("denoise", seen), seen)
    assert plan.experts == lively.shape.branch_blocks * len(GROUPS) * lively.shape.experts
    assert sum(e.weight for e in plan.blocks[0].experts) == pytest.approx(1 / 3)  # each photo ran a third of the gates


def test_merging_averages_parameters_by_use(lively: MiMDiT) -> None:
    seen = statistics(lively, always=None)  # 4, 3 and 3 of ten photos
    plan = make_plan("denoise", seen)
    merged = merge(lively, plan, seen).state_dict()
    kept = next(e for e in plan.blocks[0].experts if e.group == "spatial")
    each = [lively.state_dict()[f"branch.blocks.0.groups.spatial.{e}.proj.weight"] for e in range(3)]
    wanted = 0.4 * each[0] + 0.3 * each[1] + 0.3 * each[2]
    torch.testing.assert_close(merged[f"branch.blocks.0.experts.{kept.name}.proj.weight"], wanted)


def test_places_found_are_those_that_a_degradation_was_taught() -> None:
    chosen = np.stack([prior_experts(family_of("rain"), 3), prior_experts(family_of("haze"), 3)])[..., None]
    chosen[1] = (chosen[1] + 1) % 3  # haze is sent elsewhere, everywhere
    (row,) = places_found(RouterStatistics(np.empty(2), np.empty(2), chosen, ("rain", "haze"))).rows
    assert dict(zip(DEGRADATIONS, row[1:], strict=True)) == dict.fromkeys(DEGRADATIONS, "–") | {
        "rain": "100%",
        "haze": "0%",
    }


def test_inter_weights_are_means_of_each_kind(lively: MiMDiT) -> None:
    assert np.allclose(inter_weights(statistics(lively, always=0), ["noise"]), 0.25)


def test_plans_side_by_side() -> None:
    first, second = crafted_plan("denoise"), crafted_plan("denoise")
    places = plan_places(first, second)
    assert shared(places) == 1.0
    assert len(places) == len(GROUPS) * len(first.blocks)
    other = second.blocks[0].experts[0].model_copy(update={"expert": 2})
    block = second.blocks[0].model_copy(update={"experts": (other, *second.blocks[0].experts[1:])})
    changed = second.model_copy(update={"blocks": (block, *second.blocks[1:])})
    assert [place.same for place in plan_places(first, changed)].count(False) == 1
    with pytest.raises(MimditError, match="different networks"):
        plan_places(first, second.model_copy(update={"blocks": second.blocks[:1] * (len(second.blocks) + 1)}))


def test_regret_names_the_variant_that_is_nearer_to_the_truth(lively: MiMDiT) -> None:
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (64, 80, 3), dtype=np.uint8)
    variants = {name: frozen(lively, name) for name in ("denoise", "derain")}
    with torch.no_grad():
        variants["derain"].codec.decoder.residual.bias += 0.2  # pyright: ignore
    blind = photo_regret(photo, None, lively, variants)  # pyright: ignore[reportArgumentType]
    assert all(0 <= fit.agreement <= 1 and fit.regret is None for fit in blind.fits.values())
    assert blind.fits["derain"].change > blind.fits["denoise"].change
    told = photo_regret(photo, photo, lively, variants)  # pyright: ignore[reportArgumentType]
    assert told.best == "denoise"


def test_regret_sets_like_against_like(lively: MiMDiT) -> None:
    """Of a photo of several tiles both are held to the reduced photo, or neither: the routers alone differ."""
    from mimdit.benchmarks.torch_models import TorchRuntime, restore_photo

    photo = np.random.default_rng(0).integers(0, 256, (256, 320, 3), dtype=np.uint8)
    variants: dict[Variant, MiMDiT] = {name: frozen(lively, name) for name in ("denoise", "dehaze")}
    found = photo_regret(photo, photo, lively, variants)
    for name, fit in found.fits.items():
        alike = restore_photo(photo, TorchRuntime(lively, steps=1), name)
        assert fit.dynamic == psnr(to_unit(alike), to_unit(photo))
    assert found.fits["denoise"].dynamic != found.fits["dehaze"].dynamic


def test_regret_on_the_command_line(lively: MiMDiT, tmp_path: Path) -> None:
    from mimdit.cli import _app

    save_model(lively, tmp_path / "student")
    save_model(frozen(lively, "denoise"), tmp_path / "variants" / "denoise" / "model")
    photo = Path(__file__).parent.parent / "mimdit" / "examples" / "moon-dejpeg.png"
    arguments = [str(photo), "--student", str(tmp_path / "student"), "--variants", str(tmp_path / "variants")]
    done = CliRunner().invoke(_app, ["routing", "regret", *arguments, "--json"])
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)
    assert row["best"] == "denoise"
    nothing = CliRunner().invoke(_app, ["routing", "regret", *arguments[:3], "--variants", str(tmp_path)])
    assert nothing.exit_code == 2
    assert "no frozen variants" in nothing.stderr


def test_diff_on_the_command_line() -> None:
    from mimdit.cli import _app

    done = CliRunner().invoke(_app, ["routing", "diff", "denoise", "derain", "--samples", "2", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {place["group"] for place in found["places"]} == set(GROUPS)
    assert found["costs"]["A"]["decibels"]["juniper, denoise"] > found["costs"]["B"]["decibels"]["juniper, denoise"] + 3
    wrong = CliRunner().invoke(_app, ["routing", "diff", "denoise", "fog"])
    assert wrong.exit_code == 2
    assert "'fog' names no variant" in wrong.stderr


def test_branch_off_is_what_the_table_says(lively: MiMDiT) -> None:
    rng = torch.Generator().manual_seed(0)
    image = torch.rand(len(DEGRADATIONS), 3, 64, 64, generator=rng)
    families = torch.tensor([family_of(kind) for kind in DEGRADATIONS])
    batch = Batch(image, image.flip(3), image, families, list(DEGRADATIONS))
    variants: dict[Variant, MiMDiT] = {name: frozen(lively, name) for name in VARIANTS}
    for row in variant_parts(variants, [batch]).rows:
        kind, before, restored, off, _ = row
        own, model = of_kinds([batch], [kind]), variants[DISPATCHER_CLASSES[family_of(kind)]].eval()  # pyright: ignore
        whole, silent = decibels(model, own)[kind], decibels(model, own, without_branch)[kind]
        assert (restored, off) == (f"{whole:.2f}", f"{silent - whole:+.2f}")
        assert before == f"{decibels(model, own, as_taken)[kind]:.2f}"


def test_what_was_set_out_is_held_against_the_parts() -> None:
    heads = ("degradation", "branch off", "degraded latent", "best other plan")
    usual, hazy = ("-0.50", "-0.20", "+0.10"), ("+1.00", "-1.00", "-0.30")
    rows = tuple((kind, *(hazy if kind == "haze" else usual)) for kind in DEGRADATIONS)
    table = TableContent("", heads, rows)
    branch, latent, plan = carried(table).rows
    assert branch == ("branch off: 0.5 dB on at least 3", "noise, sensor, blur, rain, lowlight, jpeg", "yes")
    assert latent == ("degraded latent: 1.0 dB on haze and lowlight", "haze", "no")
    assert plan == ("best other plan: 0.3 dB on at least 3", "haze", "no")


def test_brief_tuning_moves_a_variant_once(
    lively: MiMDiT, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brief_tuning, "_TILE", 64)
    start = frozen(lively, "derain")
    out = tmp_path / "runs" / "brief"
    tuned = brief_tuning.briefly_tuned({"derain": start}, photos, out, 1)["derain"]
    assert checkpoint_hash(tuned) != checkpoint_hash(start)
    (state,) = out.rglob("state.safetensors")
    written = state.stat().st_mtime_ns
    again = brief_tuning.briefly_tuned({"derain": start}, photos, out, 1)["derain"]
    assert checkpoint_hash(again) == checkpoint_hash(tuned)
    assert state.stat().st_mtime_ns == written, "nothing is trained twice"


def test_the_document_is_written_whole(
    lively: MiMDiT, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mimdit.benchmarks import routing_report as report

    monkeypatch.setattr(report, "TILE", 64)
    monkeypatch.setattr(brief_tuning, "_TILE", 64)
    monkeypatch.setattr(budget, "TILE", 64)
    monkeypatch.setattr(budget, "EXAMPLES", 1)
    nano = lively.shape
    designs = {
        "plain DiT": budget.Design(nano.model_copy(update={"branch_blocks": 0}), 1.0),
        "+ Inter-MoE": budget.Design(nano.model_copy(update={"experts": 1}), 1.2),
        "+ Inter-MoE and Intra-MoE": budget.Design(nano, 1.4),
    }
    monkeypatch.setattr(budget, "DESIGNS", designs)
    save_model(lively, tmp_path / "student")
    for name in VARIANTS:
        save_model(frozen(lively, name), tmp_path / "variants" / name / "model")
    variants = tmp_path / "variants"
    report.main(
        tmp_path / "student", variants, variants, tmp_path / "student", photos, tmp_path / "runs" / "budget",
        tmp_path / "docs", each=1, steps=1, tuning=1, samples=2,
    )  # fmt: skip
    text = (tmp_path / "docs" / "routing.md").read_text()
    for title in (
        "What routers decide",
        "Sub-experts chosen as taught",
        "What carries",
        "Equal budgets",
        "Four ways",
        "Narrowing",
        "What freezing saves",
        "Regret",
    ):
        assert title in text
    assert "nan" not in text
    assert "| degradation | input | its variant | branch off | degraded latent |" in text
    assert f"|  | dynamic | {' | '.join(VARIANTS)} |" in text
    assert "| own plan | mean gates | merged | 1 steps | first variants |" in text
    assert load(tmp_path / "docs" / "routing-intra.png").pixels.shape[0] > 100
