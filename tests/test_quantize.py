"""Quantization: the same tiles and scales at every run, bounds that are measured, and files that are refused."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mimdit.benchmarks.factors import differing, factors_of
from mimdit.bundle import open_bundle
from mimdit.errors import CheckFailedError, MimditError, PhotoError
from mimdit.export import EXPORTERS
from mimdit.export.converter import find
from mimdit.export.graph import DeployableGraph
from mimdit.float_layers import ALWAYS_FLOAT
from mimdit.manifest import Manifest
from mimdit.model.checkpoint import save_model
from mimdit.model.mimdit import MiMDiT
from mimdit.quantize import QUANTIZERS
from mimdit.quantize.bounded import bound
from mimdit.quantize.build import build, twin_of
from mimdit.quantize.calibration import KINDS, MEASURES, draw
from mimdit.quantize.fit import Candidate, Limits, fit, missed
from mimdit.quantize.onnx import layers, plain, quantized, ranges, reduces_range
from mimdit.quantize.quality import Times, allowance
from mimdit.quantize.recipe import Recipe, float_file
from mimdit.quantize.sensitivity import chart, markdown, rank
from mimdit.quantize.weights import rounded
from mimdit.train.quantized import rounded_layers

from .frozen import FROZEN_TILE, frozen

TILES = 8  # one of each kind


@pytest.fixture(scope="module")
def graph(lively: MiMDiT) -> DeployableGraph:
    return DeployableGraph(frozen(lively, "denoise"), tile=FROZEN_TILE, steps=1)


@pytest.fixture(scope="module")
def recipe(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return Recipe(photos=photo_folder, tiles=TILES, work=tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def manifest(graph: DeployableGraph, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, Path]:
    path = tmp_path_factory.mktemp("built") / "nano.mimdit"
    onnx = find(QUANTIZERS, "onnx", "w8a8")
    return build([graph], onnx, "w8a8", path, recipe=recipe, command="mimdit build …", threads=1), path


def test_two_draws_are_the_same_tiles_and_another_seed_others(photo_folder: Path) -> None:
    first, again = (draw(photo_folder, side=64, tiles=TILES) for _ in range(2))
    assert first.describe() == again.describe()
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first.tiles, again.tiles, strict=True))
    assert draw(photo_folder, side=64, tiles=TILES, seed=1).describe().sha256 != first.describe().sha256


def test_tiles_cover_every_kind_and_more_than_chance(photo_folder: Path) -> None:
    found = draw(photo_folder, side=64, tiles=16)
    facts = found.describe()
    assert facts.kinds == dict.fromkeys(KINDS, 2)
    assert set(facts.coverage) == set(MEASURES)
    for spread in facts.coverage.values():
        assert spread.low < spread.middle < spread.high
    assert all(tile.image.shape == (1, 3, 64, 64) and tile.photo.shape == (1, 3, 64, 64) for tile in found.tiles)
    assert all(tile.image.min() >= 0 and tile.image.max() <= 1 for tile in found.tiles)


def test_the_photos_of_the_package_do_where_no_folder_is_named() -> None:
    facts = draw(side=64, tiles=TILES).describe()
    assert (facts.photos, facts.source) == (3, "the example photos of mimdit")


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="expected a folder of clean photos"):
        draw(tmp_path, side=64)


def test_photos_are_held_out_where_there_are_enough(photo_folder: Path, tmp_path: Path) -> None:
    for i in range(16):
        (tmp_path / f"{i:02}.png").write_bytes((photo_folder / f"{i % 6}.png").read_bytes())
    assert draw(tmp_path, side=64, tiles=1).photos == 8
    assert draw(tmp_path, side=64, tiles=1, validation=True).photos == 8


def test_two_calibrations_give_the_same_scales(graph: DeployableGraph, recipe: Recipe, tmp_path: Path) -> None:
    converter = find(QUANTIZERS, "onnx", "w8a8")
    model = plain(float_file(twin_of(converter), graph, recipe, tmp_path), graph)
    first, again = (
        quantized(model, ranges(model, draw(recipe.photos, side=FROZEN_TILE, tiles=TILES)), frozenset())
        for _ in range(2)
    )
    assert first.SerializeToString() == again.SerializeToString()


def test_the_bundle_says_what_it_was_calibrated_on(manifest: tuple[Manifest, Path], recipe: Recipe) -> None:
    built, path = manifest
    assert built.calibration == recipe.calibration(FROZEN_TILE).describe()
    assert open_bundle(path).manifest == built
    assert built.calibration is not None
    assert built.calibration.sha256 in (path / "CALIBRATION.md").read_text()
    assert (path / "calibration.png").read_bytes().startswith(b"\x89PNG")


def test_other_photos_are_another_bundle(
    manifest: tuple[Manifest, Path], graph: DeployableGraph, tmp_path: Path
) -> None:
    """Another set's scales can be told from the bundle: by its id, and by the hash of the set."""
    onnx = find(QUANTIZERS, "onnx", "w8a8")
    other = build(
        [graph], onnx, "w8a8", tmp_path / "o.mimdit", recipe=Recipe(tiles=TILES), command="mimdit build …", threads=1
    )
    assert manifest[0].calibration is not None
    assert other.calibration is not None
    assert other.calibration.sha256 != manifest[0].calibration.sha256
    assert other.id != manifest[0].id
    ours, theirs = (factors_of(open_bundle(path)) for path in (manifest[1], tmp_path / "o.mimdit"))
    assert ours.scales != theirs.scales
    assert differing(ours, theirs) == ("calibration",)


def test_layers_are_called_as_the_network_calls_them(graph: DeployableGraph, recipe: Recipe, tmp_path: Path) -> None:
    found = layers(plain(float_file(twin_of(find(QUANTIZERS, "onnx", "w8")), graph, recipe, tmp_path), graph))
    modules = dict(graph.model.named_modules())
    assert set(ALWAYS_FLOAT) <= set(found) <= set(modules)
    assert len(found) == len(set(found)) > 40
    assert set(rounded_layers(graph.model)) == set(found) - recipe.kept(graph, "w8a8"), "training rounds others"


def test_sums_are_read_before_they_are_rounded_and_no_relu_behind(
    graph: DeployableGraph, recipe: Recipe, tmp_path: Path
) -> None:
    """A sum may read what a layer gave in 8 bits, but no sum that was rounded for the layer behind it."""
    whole = plain(float_file(twin_of(find(QUANTIZERS, "onnx", "w8")), graph, recipe, tmp_path), graph)
    found = quantized(whole, ranges(whole, recipe.calibration(FROZEN_TILE)), recipe.kept(graph, "w8a8"))
    made = {name: node for node in found.graph.node for name in node.output}
    sums = [node for node in found.graph.node if node.op_type == "Add"]
    behind = [made[name] for node in sums for name in node.input if name in made]
    rounded_before = [made[made[node.input[0]].input[0]] for node in behind if node.op_type == "DequantizeLinear"]
    assert {node.op_type for node in rounded_before} == {"Conv"}
    assert "Add" in {node.op_type for node in behind}, "blocks follow on blocks"
    relus = [made[node.input[0]].op_type for node in found.graph.node if node.op_type == "Relu"]
    assert "DequantizeLinear" not in relus


def test_a_layer_in_float_reads_floats_beside_one_in_8_bits(
    graph: DeployableGraph, recipe: Recipe, tmp_path: Path
) -> None:
    whole = plain(float_file(twin_of(find(QUANTIZERS, "onnx", "w8")), graph, recipe, tmp_path), graph)
    seen = ranges(whole, recipe.calibration(FROZEN_TILE))
    found = quantized(whole, seen, recipe.kept(graph, "w8a8") | {"codec.gates.skips.1"})
    made = {name: node.op_type for node in found.graph.node for name in node.output}
    reads = {node.name: made[node.input[0]] for node in found.graph.node if node.op_type == "Conv"}
    assert reads["codec.gates.skips.1"] != "DequantizeLinear"
    assert reads["codec.gates.skips.0"] == "DequantizeLinear"


def test_sensitivity_goes_on_where_it_stopped(
    graph: DeployableGraph, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ["codec.encoder.stem", "codec.decoder.residual", "branch.stem"]
    monkeypatch.setattr("mimdit.quantize.sensitivity.onnx.layers", lambda model: few)
    path = tmp_path / "s.json"

    def stop(total: int):
        def step() -> None:
            raise KeyboardInterrupt

        return step

    with pytest.raises(KeyboardInterrupt):
        rank(graph, recipe, path, threads=1, steps=stop)
    kept = path.read_text()
    assert "codec.encoder.stem" in kept
    found = rank(graph, recipe, path, threads=1)
    assert found.complete
    assert set(found.ranking) == set(few)
    assert few[0] in markdown(found)
    assert chart(found).startswith(b"\x89PNG")
    with pytest.raises(MimditError, match="of another variant or of other tiles"):
        rank(graph, replace(recipe, seed=5), path, threads=1)


def test_a_bound_is_kept_by_layers_in_float(graph: DeployableGraph, recipe: Recipe) -> None:
    converter = find(QUANTIZERS, "onnx", "w8a8")
    asked: list[int] = []

    def ranking() -> list[str]:
        asked.append(1)
        return list(modules)

    modules = layers(plain(float_file(twin_of(converter), graph, recipe, Path()), graph))
    loose = bound(graph, converter, twin_of(converter), "w8a8", recipe, 99, ranking, threads=1)
    assert not asked  # nothing had to go back
    assert loose.chosen.floating == ()
    tight = bound(graph, converter, twin_of(converter), "w8a8", recipe, loose.chosen.worst / 2, ranking, threads=1)
    assert tight.chosen.worst <= loose.chosen.worst / 2
    assert 0 < len(tight.chosen.floating) < len(modules)
    assert tight.chosen.megabytes > loose.chosen.megabytes


def test_slower_than_fp32_is_refused_where_it_must_be_faster(
    graph: DeployableGraph, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mimdit.quantize.build.times", lambda *args, **kwargs: Times(10.6, 10.0))
    onnx, said = find(QUANTIZERS, "onnx", "w8"), []
    path = tmp_path / "slow.mimdit"
    with pytest.raises(CheckFailedError, match="smaller but slower"):
        build([graph], onnx, "w8", path, recipe=recipe, require_faster=True, command="c", threads=1)
    assert not path.exists()
    build([graph], onnx, "w8", path, recipe=recipe, command="c", threads=1, tell=said.append)
    assert any("smaller but slower" in line for line in said)
    assert any(re.search(r"onnx: 0\.[2-6]\d of the bytes of fp32", line) for line in said)


def test_small_figures() -> None:
    assert Times(10.4, 10.0).is_slower is False
    assert allowance(0.1, 35.9) == 0.1
    assert allowance(0.1, 36.1) == 0.2
    assert reduces_range(("avx2", "avx512"))
    assert not reduces_range(("avx2", "avx512", "avx512-vnni"))
    assert not reduces_range(("neon", "neon-dot"))


def test_rounding_keeps_zero_and_the_largest() -> None:
    values = np.array([[0, 0.5, -1], [0, 0, 0]], np.float32)
    small, scale = rounded(values, 0)
    assert small.dtype == np.int8
    assert np.array_equal(small, [[0, 64, -127], [0, 0, 0]])
    assert np.allclose(small * scale, values, atol=0.5 / 127)


POINTS = [
    Candidate("fp32", 256, 1, 10.0, 40.0, 0.0, 33.0),
    Candidate("w8", 256, 1, 3.0, 40.0, 0.01, 32.99),
    Candidate("w8a8", 256, 1, 3.1, 20.0, 0.15, 32.85),
]


@pytest.mark.parametrize(
    ("limits", "precision"),
    [(Limits(), "fp32"), (Limits(megabytes=6), "w8"), (Limits(6, 30), "w8a8"), (Limits(None, 30, 0.2), "w8a8")],
)
def test_the_best_within_the_limits_is_chosen(limits: Limits, precision: str) -> None:
    best = fit(POINTS, limits)
    assert best is not None
    assert best.precision == precision


def test_the_limit_that_forbids_is_named_with_by_how_much() -> None:
    limits = Limits(6, 30, 0.14)
    assert fit(POINTS, limits) is None
    assert "w8a8 at tile 256" in missed(POINTS, limits)
    assert missed(POINTS, limits).endswith("0.01 dB over")


def test_fit_goes_from_photos_to_a_bundle_and_measures_nothing_twice(
    lively: MiMDiT, photo_folder: Path, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {"fp32": find(EXPORTERS, "onnx", "fp32"), "w8": find(QUANTIZERS, "onnx", "w8")}
    monkeypatch.setattr("mimdit.quantize.candidates.converters", lambda target: few)
    save_model(frozen(lively, "denoise"), tmp_path / "variants" / "denoise" / "model")
    command = ("fit", tmp_path / "variants", "--variant", "denoise", "--tile", FROZEN_TILE, "--photos", photo_folder)
    command = (*command, "--work", tmp_path / "work", "--threads", 1)
    refused = run(*command, "--max-mb", 0.001)
    assert refused.code == 1
    assert "MB over" in refused.err
    assert refused.err.count("dB lost") == 3  # two points and the nearest of them
    (kept,) = (tmp_path / "work").glob("fit-*.json")
    smallest = min(point["megabytes"] for point in json.loads(kept.read_text()))
    out = tmp_path / "fits.mimdit"
    done = run(*command, "--max-mb", smallest, "--out", out)
    assert done.code == 0, done.err
    assert "dB lost" not in done.err  # nothing was measured again
    assert done.out.startswith("w8 at tile 64")
    assert open_bundle(out).manifest.precision == "w8"
