"""Starting is fast: `import mimdit` and `mimdit --help` load nothing that they do not need.

Times are of the processor, which is what a person waits for on an idle machine, and what a busy one changes least.
"""

import subprocess
import sys

IMPORT_LIMIT = 0.15  # seconds
HELP_LIMIT = 0.5
TRIES = 8  # a busy machine makes some slow, slow code makes all slow

IMPORT = "import time; began = time.process_time(); import mimdit; print(time.process_time() - began)"
HELP = """
import sys, time
from mimdit.cli import main

sys.argv = ["mimdit", "--help"]
try:
    main()
finally:
    print(time.process_time(), *sys.modules, file=sys.stderr)  # the whole process, interpreter included
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)


def test_import_is_fast() -> None:
    assert any(float(run(IMPORT).stdout) <= IMPORT_LIMIT for _ in range(TRIES))


def test_help_is_fast() -> None:
    assert any(float(run(HELP).stderr.split()[0]) <= HELP_LIMIT for _ in range(TRIES))


def test_import_loads_only_itself() -> None:
    loaded = run("import sys; before = set(sys.modules); import mimdit; print(*(set(sys.modules) - before))").stdout
    assert [name for name in loaded.split() if name.startswith("mimdit")] == ["mimdit"]


def test_help_loads_nothing_heavy() -> None:
    shown = run(HELP)
    loaded = set(shown.stderr.split())
    assert "restore" in shown.stdout
    assert "mimdit.cli" in loaded
    assert not loaded & {"numpy", "PIL", "pydantic", "onnxruntime", "torch", "onnx", "mimdit.bundle"}
