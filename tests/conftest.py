"""Fixtures that several test files share."""

from pathlib import Path

import pytest

from mimdit.bundle import write_bundle

from .crafted import crafted_files, crafted_manifest


@pytest.fixture
def crafted(tmp_path: Path) -> Path:
    """The folder of a sound bundle."""
    folder = tmp_path / "crafted.mimdit"
    write_bundle(folder, crafted_manifest(), crafted_files)
    return folder
