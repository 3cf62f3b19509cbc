"""`mimdit compare` shows only what differs; converters write what other tools read."""

import csv
import io
import json
from pathlib import Path

import pytest

from mimdit.benchmarks.compare import compare, paired
from mimdit.benchmarks.convert import FORMATS, measures
from mimdit.benchmarks.headline import TITLE
from mimdit.benchmarks.run_file import write_run
from mimdit.cli.convert import Format
from mimdit.errors import NotComparableError

from .run_files import PSNR, a_run

SECONDS = [0.1 + 0.001 * (i % 7) for i in range(64)]


def whats(a, b) -> dict[str, str]:
    return {difference.what: difference.change for difference in compare(a, b)}


def test_a_run_does_not_differ_from_itself_nor_by_noise() -> None:
    assert whats(a_run(), a_run()) == {}
    assert whats(a_run(), a_run(seconds=[s + 0.0002 for s in SECONDS])) == {}


def test_what_differs_is_listed_alone() -> None:
    slower = a_run(seconds=[1.1 * s for s in SECONDS], bundle="cd" * 8)
    assert whats(a_run(), slower) == {"bundle": "", "tile median ms": "+10.0 %"}
    worse = a_run(psnr={**PSNR, ("noise", "b"): 27.0})
    assert whats(a_run(), worse) == {"noise dB": "-0.50 dB; 1 of 2 photos, -1.00 … -1.00"}
    fewer = a_run(psnr={name: value for name, value in PSNR.items() if name != ("haze", "c")})
    assert whats(a_run(), fewer) == {"haze c": ""}


def test_times_of_another_machine_are_marked(tmp_path: Path) -> None:
    other = a_run(seconds=[2 * s for s in SECONDS])
    key = other.results[0].key.model_copy(update={"processor": "Other CPU"})
    other = other.model_copy(update={"results": (other.results[0].model_copy(update={"key": key}),)})
    assert whats(a_run(), other)["tile median ms"] == "+100.0 % (other processor: not comparable)"


def test_of_several_results_equal_names_belong_together() -> None:
    one = a_run().results[0]
    two = one.model_copy(update={"name": "two.mimdit"})
    both, turned = (a_run().model_copy(update={"results": results}) for results in ((one, two), (two, one)))
    assert [(a.name, b.name) for a, b in paired(both, turned)] == [(r.name, r.name) for r in (one, two)]
    stranger = one.model_copy(update={"name": "x", "key": one.key.model_copy(update={"threads": 9})})
    with pytest.raises(NotComparableError, match="nothing to compare"):
        paired(both, a_run().model_copy(update={"results": (stranger, stranger)}))


def test_the_commands(run, tmp_path: Path) -> None:
    write_run(a_run(), tmp_path / "a.json")
    write_run(a_run(seconds=[2 * s for s in SECONDS]), tmp_path / "b.json")
    shown = run("compare", tmp_path / "a.json", tmp_path / "b.json")
    assert (shown.code, "+100.0 %" in shown.out) == (0, True)
    assert "haze" not in shown.out
    same = run("compare", tmp_path / "a.json", tmp_path / "a.json")
    assert (same.code, same.out, same.err.strip()) == (0, "", "nothing differs")
    rows = json.loads(run("compare", tmp_path / "a.json", tmp_path / "b.json", "--json").out)
    assert [row["what"] for row in rows] == [TITLE, "tile median ms"]
    assert run("convert", tmp_path / "a.json", "--to", "csv").out == FORMATS["csv"](a_run())
    run("convert", tmp_path / "a.json", "--to", "markdown", "-o", tmp_path / "run.md")
    assert TITLE in (tmp_path / "run.md").read_text()


def test_the_command_offers_every_format() -> None:
    assert {name.value for name in Format} == set(FORMATS)


def test_csv_and_jsonl_hold_the_same_figures() -> None:
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](a_run()))))
    lines = [json.loads(line) for line in FORMATS["jsonl"](a_run()).splitlines()]
    assert len(rows) == len(lines) == len(list(measures(a_run())))
    assert [float(row["value"]) for row in rows] == [line["value"] for line in lines]
    assert {line["image"] for line in lines if line["metric"] == "psnr"} == {"a", "b", "c"}


def test_github_action_benchmark_gets_name_unit_and_value() -> None:
    costs, quality = (json.loads(FORMATS[f"github-action-benchmark{end}"](a_run())) for end in ("", "-quality"))
    assert all({"name", "unit", "value", "extra"} <= set(entry) for entry in costs + quality)
    assert {entry["name"]: entry["value"] for entry in quality}["made.mimdit: noise"] == 29.0
    assert next(entry for entry in costs if entry["name"].endswith("graph_median"))["range"]


def test_pytest_benchmark_gets_its_statistics() -> None:
    (entry,) = json.loads(FORMATS["pytest-benchmark"](a_run()))["benchmarks"]
    assert entry["stats"]["data"] == SECONDS
    assert entry["stats"]["rounds"] == 64
    assert entry["stats"]["min"] <= entry["stats"]["q1"] <= entry["stats"]["median"] <= entry["stats"]["max"]


def test_layers_left_in_float_are_a_matter_of_precision() -> None:
    from mimdit.benchmarks.factors import differing, factors_of
    from mimdit.bundle import open_bundle

    one = factors_of(open_bundle())
    assert one.floating is None
    assert differing(one, one) == ()
    assert differing(one, one.model_copy(update={"floating": "ab" * 8})) == ("precision",)
