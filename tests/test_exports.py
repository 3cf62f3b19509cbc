"""Names that others rely on resolve: `__all__`, the entry point, the command table, the packages that are shipped."""

import importlib
import inspect
from importlib.metadata import entry_points
from typing import Any

import pytest
import tomllib

from mimdit.cli import COMMANDS, CommandLine, main

from .source import FOLDERS, ROOT, modules

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WITH_ALL = [module.name for module in modules() if "\n__all__ =" in module.path.read_text()]


def _sort_key(name: str) -> tuple[int, str]:
    """CONSTANTS, Classes, functions: as ruff sorts them."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


@pytest.mark.parametrize("name", WITH_ALL)
def test_all_is_sorted_and_resolves(name: str) -> None:
    module = importlib.import_module(name)
    exported: list[str] = module.__all__
    assert exported == sorted(exported, key=_sort_key)
    for attribute in exported:
        getattr(module, attribute)


def test_the_entry_point_resolves() -> None:
    (script,) = entry_points(group="console_scripts", name="mimdit")
    assert script.load() is main


def _documented(function: Any) -> str:
    return (inspect.getdoc(function) or "").splitlines()[0]


@pytest.mark.parametrize(("name", "line"), COMMANDS.items(), ids=COMMANDS)
def test_the_command_table_says_what_the_command_says(name: str, line: CommandLine) -> None:
    module, function = line.function.split(":")
    command = getattr(importlib.import_module(module), function)
    assert _documented(command) == line.help
    assert line.extra is None or line.extra in PYPROJECT["project"]["optional-dependencies"]


def test_every_package_is_shipped() -> None:
    found = {module.name for module in modules() if module.path.name == "__init__.py"}
    listed = PYPROJECT["tool"]["setuptools"]["packages"]
    assert len(listed) == len(set(listed))
    assert set(listed) == found


def test_no_module_lies_outside_a_package() -> None:
    for module in modules():
        assert (module.path.parent / "__init__.py").is_file(), f"{module}: its folder has no __init__.py"


@pytest.mark.parametrize("folder", FOLDERS[1:])
def test_folders_are_mapped_and_linked(folder: str) -> None:
    """setuptools maps them for pip, the links show the same tree to type checkers (CONTRIBUTING.md)."""
    assert PYPROJECT["tool"]["setuptools"]["package-dir"][f"mimdit.{folder}"] == folder
    assert (ROOT / "mimdit" / folder).resolve() == ROOT / folder
    assert f"mimdit/{folder}" in PYPROJECT["tool"]["pyright"]["include"]
