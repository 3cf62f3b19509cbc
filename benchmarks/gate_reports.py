"""A verdict as files: the suffix of a name says which report it is."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mimdit import __version__
from mimdit.benchmarks.gate_bundles import Gated
from mimdit.benchmarks.gate_junit import junit
from mimdit.benchmarks.gate_page import page
from mimdit.benchmarks.gate_sarif import sarif
from mimdit.benchmarks.gate_table import markdown
from mimdit.benchmarks.verdict import Verdict
from mimdit.errors import MimditError
from mimdit.files import write_file

__all__ = ["KINDS", "check_reports", "write_job_summary", "write_reports"]

KINDS = {
    ".md": "Markdown",
    ".xml": "JUnit",
    ".sarif": "SARIF 2.1.0",
    ".html": "one self-contained page",
    ".json": "the verdict",
}
_SUMMARY = "GITHUB_STEP_SUMMARY"


def check_reports(paths: Sequence[Path]) -> None:
    """Raises MimditError, before minutes of measuring, for a name that says no kind."""
    for path in paths:
        if path.suffix.lower() not in KINDS:
            known = ", ".join(f"{suffix} ({kind})" for suffix, kind in KINDS.items())
            raise MimditError(f"{path}: expected a report that ends in one of {known}")


def write_reports(gated: Gated, paths: Sequence[Path], place: str) -> None:
    """Writes each, replacing what is there: a report is made anew at every push.

    `place` is the file in the repository that an alert is shown at.
    """
    for path in paths:
        suffix = path.suffix.lower()
        if suffix == ".md":
            content = markdown(gated.verdict).encode()
        elif suffix == ".xml":
            content = junit(gated.verdict)
        elif suffix == ".sarif":
            content = sarif(gated.verdict, place, __version__)
        elif suffix == ".html":
            content = page(gated.verdict, gated.run, gated.crops, gated.times).encode()
        else:
            content = (gated.verdict.model_dump_json(indent=1) + "\n").encode()
        write_file(path, content, overwrite=True)


def write_job_summary(verdict: Verdict, environment: Mapping[str, str] = os.environ) -> None:
    """Appends the Markdown to the job summary, where GitHub names one: other steps write there as well."""
    if path := environment.get(_SUMMARY):
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(markdown(verdict))
        except OSError as error:
            raise MimditError(
                f"{path}: the job summary cannot be written ({error.strerror}): unset {_SUMMARY}"
            ) from None
