"""Rows of an accuracy run, kept as they are measured: a run that is cut, or begun again, measures only what is new.

A JSON line a row, under a hash of all that it follows from: the photo, its truth, what exactly restores it, and the
versions of the packages. Not of mimdit's own code: whoever changes how it restores, or what is measured, removes it.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from mimdit.benchmarks.accuracy_report import Row
from mimdit.benchmarks.datasets import Pair

__all__ = ["KeptRows"]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    row: Row


class KeptRows:
    """A file of rows, made if it is missing. A last line that was cut short is forgotten."""

    def __init__(self, path: Path, versions: Mapping[str, str | None]):
        self._path, self._versions = path, dict(versions)
        self._rows: dict[str, Row] = {}
        content = path.read_bytes() if path.exists() else b""
        for line in content.splitlines():
            with suppress(ValidationError):
                known = _Line.model_validate_json(line)
                self._rows[known.key] = known.row
        self._gap = "" if content.endswith(b"\n") or not content else "\n"  # after a line that was cut

    def key(self, pair: Pair, reach: int, identity: str) -> str:
        """`identity` says exactly what restores; `reach` is how far input and truth may be displaced."""
        photos = [
            photo if photo is None else (photo.shape, _hash(photo.tobytes())) for photo in (pair.input, pair.truth)
        ]
        return _hash(json.dumps([photos, pair.grey, reach, identity, self._versions], sort_keys=True).encode())

    def get(self, key: str) -> Row | None:
        """The row that was kept under a key."""
        return self._rows.get(key)

    def keep(self, key: str, row: Row) -> None:
        """Keep a row, on disk when this returns."""
        self._rows[key] = row
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(self._gap + _Line(key=key, row=row).model_dump_json() + "\n")
        self._gap = ""


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
