"""Who measured, with what: versions, commit, command, time."""

import os
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import mimdit
from mimdit.benchmarks.device import versions
from mimdit.benchmarks.run_file import Provenance

__all__ = ["COMMIT_VARIABLE", "commit", "now", "provenance"]

COMMIT_VARIABLE = "MIMDIT_COMMIT"  # tells a kit on a device, which has no repository, where it came from

_PACKAGES = ("numpy", "pillow", "onnxruntime", "openvino", "coremltools", "executorch", "ai-edge-litert")


def provenance(command: str, seed: int, packages: tuple[str, ...] = _PACKAGES) -> Provenance:
    """packages: those whose versions move a figure; by default the runtimes and what they stand on."""
    return Provenance(
        mimdit=mimdit.__version__,
        commit=commit(),
        command=command,
        created=now(),
        versions=versions(packages),
        seed=seed,
    )


def commit() -> str | None:
    """The commit of the checkout that mimdit is imported from, with -dirty where it is changed; None for an install."""
    if told := os.environ.get(COMMIT_VARIABLE):
        return told
    folder = Path(mimdit.__file__).parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # Asked of a file that git follows: an install may lie inside the repository of something else.
    if not git("ls-files", "__init__.py"):
        return None
    head, changed = git("rev-parse", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    return f"{head}-dirty" if changed else head


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
