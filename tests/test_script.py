"""`python -m` modules: help from the signature, bad input as one line and exit code 2."""

import subprocess
import sys

import pytest

from mimdit.errors import CheckpointError
from mimdit.script import run


def test_an_error_of_ours_is_one_line_and_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        """Do it."""
        raise CheckpointError("no such folder: name another")

    monkeypatch.setattr(sys, "argv", ["it"])
    with pytest.raises(SystemExit) as stopped:
        run(main)
    assert (stopped.value.code, capsys.readouterr().err) == (2, "no such folder: name another\n")


@pytest.mark.parametrize("module", ["mimdit.train.collect", "mimdit.train.mean", "mimdit.benchmarks.confusion"])
def test_modules_explain_themselves(module: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Usage: python -m" in done.stdout
    missing = ["nowhere", "a", "b"] if module.endswith("mean") else ["nowhere"] + ["a=b"] * module.endswith("collect")
    wrong = subprocess.run([sys.executable, "-m", module, *missing], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert len(wrong.stderr.splitlines()) == 1, wrong.stderr
