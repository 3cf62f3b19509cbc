"""A run of accuracy that was cut goes on where it was, and measures anew only what follows from something new."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mimdit.benchmarks.accuracy import evaluate
from mimdit.benchmarks.accuracy_report import Report
from mimdit.benchmarks.datasets import manifest_groups, select
from mimdit.benchmarks.factors import network_hash
from mimdit.benchmarks.kept_rows import KeptRows
from mimdit.benchmarks.methods import Answer, Attempt, Method
from mimdit.bundle import open_bundle
from mimdit.errors import BundleError
from mimdit.onnx_file import parse

from .photo_sets import photo_set

VERSIONS: dict[str, str | None] = {"numpy": "2", "bm3d": None}


class Runs:
    """Runs over the photos of nothing, each with the rows of those before; `restored` counts the photos."""

    def __init__(self, folder: Path):
        self.groups = select(manifest_groups(photo_set(folder)), ["noise-25", "deblur_us", "haze_unpaired"])
        self.rows = folder / "kept" / "rows.jsonl"
        self.restored = 0

    def run(
        self, identity: str | None = "one", fails_at: int | None = None, versions: dict[str, str | None] = VERSIONS
    ) -> Report:
        self.restored = 0

        def restore(photo: np.ndarray) -> Answer:
            if self.restored == fails_at:
                raise BundleError("not finite")
            self.restored += 1
            return Answer(photo // 2, "denoise")

        attempt = Attempt("denoise", restore, None if identity is None else lambda: identity)
        method = Method("half", "-", lambda group: [attempt])
        return evaluate(self.groups, [method], command="test", kept=KeptRows(self.rows, versions))


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def test_a_second_run_restores_nothing_and_reports_the_same(runs: Runs) -> None:
    first = runs.run()
    assert runs.restored == 4
    again = runs.run()
    assert runs.restored == 0
    assert again.rows == first.rows
    assert again.summary == first.summary


def test_what_follows_from_something_new_is_measured_anew(runs: Runs) -> None:
    runs.run()
    runs.run("another")
    assert runs.restored == 4
    runs.run(versions={**VERSIONS, "numpy": "3"})
    assert runs.restored == 4
    runs.run(None)
    assert runs.restored == 4, "nobody says what restores"


def test_a_run_that_was_cut_goes_on(runs: Runs) -> None:
    whole = runs.run()
    text = runs.rows.read_text()
    runs.rows.write_text(text[: text.index("\n", text.index("\n") + 1) - 9])  # killed while it wrote its second row
    mended = runs.run()
    assert runs.restored == 3
    assert [row.restored for row in mended.rows] == [row.restored for row in whole.rows]
    assert runs.run().summary == mended.summary
    assert runs.restored == 0


def test_a_photo_that_failed_is_tried_again(runs: Runs) -> None:
    failed = runs.run(fails_at=2)
    assert sum(row.error is not None for row in failed.rows) == 2
    runs.run()
    assert runs.restored == 2


def test_a_sheet_is_drawn_of_whole_groups_alone(runs: Runs, tmp_path: Path) -> None:
    """And a resumed run leaves those that are there."""
    kept = KeptRows(runs.rows, VERSIONS)
    attempt = Attempt("denoise", lambda photo: Answer(photo), lambda: "one")
    method = Method("same", "-", lambda group: [attempt])
    (noisy,) = select(runs.groups, ["noise-25"])
    for limit, sheets in ((1, 1), (None, 1)):
        evaluate(select([noisy], [], limit), [method], command="test", sheets=tmp_path / "sheets", kept=kept)
        assert len(list((tmp_path / "sheets").iterdir())) == sheets


def test_of_a_new_bundle_only_what_changed_is_another_network(tmp_path: Path) -> None:
    """All variants lie in one file of weights, and each of their files carries the bundle's id."""
    bundle = open_bundle()
    other = replace(bundle, path=tmp_path / "other.mimdit")
    shutil.copytree(bundle.path, other.path)
    changed, same = bundle.entry("dejpeg"), bundle.entry("denoise")
    elsewhere = {(t.offset, t.length) for t in parse(bundle.file(same.file).read_bytes()).tensors if t.location}
    tensors = parse(bundle.file(changed.file).read_bytes()).tensors
    own = next(t for t in tensors if t.location and (t.offset, t.length) not in elsewhere)
    weights = bytearray(other.file(own.location or "").read_bytes())
    weights[own.offset] ^= 1
    other.file(own.location or "").write_bytes(weights)
    assert network_hash(other, changed) != network_hash(bundle, changed)
    assert network_hash(other, same) == network_hash(bundle, same)
