"""`mimdit convert`."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["convert"]


class Format(str, Enum):
    """Names of `mimdit.benchmarks.convert.FORMATS`, stated here so that --help loads no benchmark."""

    markdown = "markdown"
    csv = "csv"
    jsonl = "jsonl"
    github = "github-action-benchmark"
    github_quality = "github-action-benchmark-quality"
    pytest = "pytest-benchmark"


def convert(
    run: Annotated[Path, typer.Argument(metavar="RUN.json", help="A run file of `mimdit bench`, or a baseline.")],
    to: Annotated[Format, typer.Option(help="What to write.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write a file; by default stdout.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Write a run file in another tool's format.

    markdown: tables. csv, jsonl: one figure a row. github-action-benchmark: times, sizes and energy for its tool
    `customSmallerIsBetter`; -quality: dB for `customBiggerIsBetter`. pytest-benchmark: graph times with their samples,
    for `pytest-benchmark compare`.
    """
    from mimdit.benchmarks.convert import FORMATS
    from mimdit.benchmarks.run_file import read_run
    from mimdit.files import write_file

    text = FORMATS[to.value](read_run(run))
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_file(out, text.encode(), overwrite=overwrite)
