"""Fixtures that several test files share."""

from functools import partial
from pathlib import Path

import pytest

from mimdit.bundle import write_bundle

from .crafted import crafted_files, crafted_manifest
from .small import fill_small, small_manifest


@pytest.fixture
def crafted(tmp_path: Path) -> Path:
    """The folder of a sound bundle."""
    folder = tmp_path / "crafted.mimdit"
    write_bundle(folder, crafted_manifest(), crafted_files)
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The folder of a bundle with three variants and a dispatcher, which the tiler can run."""
    folder, manifest = tmp_path / "small.mimdit", small_manifest()
    write_bundle(folder, manifest, partial(fill_small, manifest))
    return folder
