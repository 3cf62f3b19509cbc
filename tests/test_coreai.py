"""What is special about Core AI: it is marked beta, and a damaged program is refused before it can end the process."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mimdit.cli import _app
from mimdit.errors import BundleError
from mimdit.export import EXPORTERS


def test_it_alone_is_marked_beta() -> None:
    assert [converter.target for converter in EXPORTERS if converter.beta] == ["coreai"]
    rows = json.loads(CliRunner().invoke(_app, ["targets", "--json"]).stdout)
    assert [row["target"] for row in rows if row["beta"]] == ["coreai"]
    assert "coreai (beta)" in CliRunner().invoke(_app, ["targets"]).stdout


def test_a_damaged_program_is_refused_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("coreai")
    from mimdit.runtimes.coreai import CoreaiRuntime

    (tmp_path / "main.mlirb").write_bytes(b"ML\xefR damaged")
    (tmp_path / "main.hash").write_bytes(bytes(32))
    with pytest.raises(BundleError, match=r"does not load in Core AI: its program is not the one [^\n]*; rebuild"):
        CoreaiRuntime(tmp_path, 64)
