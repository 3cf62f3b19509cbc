"""The project's own source as data: its folders, its modules, and what each of them imports."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("mimdit", "runtimes", "export", "quantize", "benchmarks")  # at the root, all inside the package mimdit


@dataclass(frozen=True)
class Module:
    """One source file of a package folder, under the name that it is imported by."""

    folder: str
    path: Path

    @property
    def name(self) -> str:
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        parts = parts if parts[0] == "mimdit" else ("mimdit", *parts)
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def __str__(self) -> str:
        return self.path.relative_to(ROOT).as_posix()


def modules() -> list[Module]:
    """Every module of the package; the links in mimdit/ are not followed."""
    return [Module(folder, path) for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def imported(source: str) -> Iterator[str]:
    """Dotted names that a source text imports anywhere, functions and TYPE_CHECKING blocks included.

    `from a import b` is `a.b`, whether b is a module or not. Relative imports begin with a dot.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from (f"{base}.{alias.name}" for alias in node.names)
