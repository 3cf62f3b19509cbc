"""Tests that load several targets' libraries, each file (and each target) in a process of its own.

Together in one process those libraries ended it by SIGSEGV, hundreds of tests later and at no fixed place.
"""

import os
import subprocess
import sys

import pytest

from mimdit.export import EXPORTERS

from .conftest import APART
from .source import ROOT

RUNS = [(name, "") for name in APART if name != "test_targets.py"]
RUNS += [("test_targets.py", converter.target) for converter in EXPORTERS]
RUNS.append(("test_targets.py", " and ".join(f"not {converter.target}" for converter in EXPORTERS)))


@pytest.mark.parametrize(
    ("name", "chosen"), RUNS, ids=[f"{name}-{chosen.partition(' and ')[0]}" for name, chosen in RUNS]
)
def test_apart(name: str, chosen: str) -> None:
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "--tb=short", f"tests/{name}"]
    told = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    done = subprocess.run(
        [*command, "-k", chosen] if chosen else command,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**told, "MIMDIT_APART": "1"},
    )
    assert done.returncode in (0, 5), f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"  # 5: nothing of that name
