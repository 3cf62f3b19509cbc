"""Run files: whole or refused, and their schema is the one that is published."""

import json
from pathlib import Path

import jsonschema
import pytest

from mimdit.benchmarks.run_file import Run, Samples, read_run, write_run
from mimdit.benchmarks.run_schema import SCHEMA_PATH, schema_text
from mimdit.errors import MimditError

from .run_files import a_run
from .source import ROOT


def test_the_published_schema_is_the_code_s() -> None:
    published = (ROOT / SCHEMA_PATH).read_text(encoding="utf-8")
    assert published == schema_text(), "run  python -m mimdit.benchmarks.run_schema"


def test_a_written_run_is_valid_under_the_published_schema_and_read_back(tmp_path: Path) -> None:
    run = a_run()
    write_run(run, tmp_path / "run.json")
    jsonschema.validate(json.loads((tmp_path / "run.json").read_text()), json.loads(schema_text()))
    assert read_run(tmp_path / "run.json") == run


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no JSON"),
        ("[]", "schema_version 1, found None"),
        ('{"schema_version": 2}', "schema_version 1, found 2"),
        ('{"schema_version": 1}', "device: Field required"),
    ],
)
def test_another_file_is_refused_in_one_line(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(MimditError, match=says) as caught:
        read_run(tmp_path / "x.json")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MimditError, match="cannot be read"):
        read_run(tmp_path / "none.json")


def test_an_edited_median_is_seen(tmp_path: Path) -> None:
    content = json.loads(a_run().model_dump_json())
    content["results"][0]["latency"]["graph"]["median"] *= 0.9
    (tmp_path / "x.json").write_text(json.dumps(content))
    with pytest.raises(MimditError, match="median does not follow from the samples"):
        read_run(tmp_path / "x.json")


@pytest.mark.parametrize(("count", "p90", "p99"), [(0, 0, 0), (63, 0, 0), (64, 1, 0), (661, 1, 0), (662, 1, 1)])
def test_percentiles_want_enough_samples(count: int, p90: int, p99: int) -> None:
    samples = Samples.of([0.01 * i for i in range(count)])
    assert (samples.p90 is not None, samples.p99 is not None) == (bool(p90), bool(p99))


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="extra_forbidden"):
        Run.model_validate({**a_run().model_dump(), "surprise": 1})
