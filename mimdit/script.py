"""Runs the `main` of `python -m MODULE`: `--help` from its signature, one line and an exit code for what is wrong."""

import sys
from collections.abc import Callable
from typing import Any

import typer

from mimdit.errors import MimditError

__all__ = ["run"]


def run(main: Callable[..., Any]) -> None:
    """As `typer.run`, but an error of ours is a line on stderr and its exit code."""
    try:
        typer.run(main)
    except MimditError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
