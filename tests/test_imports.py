"""Layers by table, and a torch-free part that really is: who may import whom."""

import json
import subprocess
import sys

import pytest

from .source import FOLDERS, ROOT, Module, imported, modules

# docs/architecture.md has this table in words. The CLI and the lazy names of mimdit/__init__.py may import everything.
MAY_IMPORT = {
    "mimdit": {"mimdit"},
    "runtimes": {"mimdit", "runtimes"},
    "export": {"mimdit", "runtimes", "export"},
    "quantize": {"mimdit", "runtimes", "export", "quantize"},
    "benchmarks": {"mimdit", "runtimes", "benchmarks"},
}
FREE = ("mimdit/__init__.py", "mimdit/__main__.py", "mimdit/cli/")

# Modules, or whole packages, that import torch or onnx at their top. Everything else must import without.
HEAVY = (
    "mimdit.model",
    "mimdit.train",
    "mimdit.routing.freeze",
    "mimdit.routing.information",
    "mimdit.routing.narrow",
    "mimdit.routing.record",
    "mimdit.benchmarks.ablations",
    "mimdit.benchmarks.brief_tuning",
    "mimdit.benchmarks.equal_budget",
    "mimdit.benchmarks.freezing",
    "mimdit.benchmarks.latents",
    "mimdit.benchmarks.held_out",
    "mimdit.benchmarks.narrowing",
    "mimdit.benchmarks.photo_tiles",
    "mimdit.benchmarks.blurs",
    "mimdit.benchmarks.overfit",
    "mimdit.benchmarks.regret",
    "mimdit.benchmarks.results",
    "mimdit.benchmarks.routing_maps",
    "mimdit.benchmarks.routing_report",
    "mimdit.benchmarks.tile_regret",
    "mimdit.export.build",
    "mimdit.export.dispatcher",
    "mimdit.export.fp16_lint",
    "mimdit.export.golden_tile",
    "mimdit.export.graph",
    "mimdit.export.half",
    "mimdit.export.identity",
    "mimdit.export.parity",
    "mimdit.export.shared_weights",
    "mimdit.export.unpack",
    "mimdit.export.xnnpack_ops",
    "mimdit.quantize.build",
    "mimdit.quantize.candidates",
    "mimdit.quantize.pt2e",
)

# What no base install has, and what every target needs: none of it may be imported to list what there is.
BLOCKED = (
    *("torch", "torchao", "diffusers", "accelerate", "safetensors", "transformers", "matplotlib", "skimage", "scipy"),
    *("onnx", "onnxscript", "onnxruntime", "openvino", "nncf", "coremltools", "coreai", "coreai_torch"),
    *("executorch", "tensorrt", "tensorrt_rtx", "litert_torch", "ai_edge_litert", "ai_edge_quantizer", "jax"),
    *("cv2", "flip_evaluator", "pywt", "pillow_heif", "rawpy", "c2pa", "cryptography"),
)


def forbidden(folder: str, source: str) -> list[str]:
    """The imports in a module of `folder` that the table does not allow."""
    return [name for name in imported(source) if not _allowed(folder, name)]


def _allowed(folder: str, name: str) -> bool:
    first, *rest = name.split(".")
    if first != "mimdit":  # "" is a relative import; a bare folder name exists in a checkout only
        return first not in ("", *FOLDERS)
    if folder == "runtimes" and _heavy(name):
        return False
    return (rest[0] if rest and rest[0] in FOLDERS else "mimdit") in MAY_IMPORT[folder]


def _heavy(name: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in HEAVY)


@pytest.mark.parametrize("module", modules(), ids=str)
def test_imports_follow_the_table(module: Module) -> None:
    source = module.path.read_text()
    if not str(module).startswith(FREE):
        assert not forbidden(module.folder, source), f"{module} may not import these: see docs/architecture.md"
    assert not [name for name in imported(source) if name.split(".")[0] in FOLDERS[1:]]


def test_tests_use_the_installed_names() -> None:
    bare = {
        path.name: names
        for path in (ROOT / "tests").glob("*.py")
        if (names := [name for name in imported(path.read_text()) if name.split(".")[0] in FOLDERS[1:]])
    }
    assert not bare


@pytest.mark.parametrize(
    ("folder", "source"),
    [
        ("mimdit", "import mimdit.runtimes.tiler"),
        ("mimdit", "def late():\n    from mimdit.export import EXPORTERS"),
        ("mimdit", "from mimdit import benchmarks"),
        ("runtimes", "from mimdit.export.parity import check_parity"),
        ("runtimes", "from mimdit.model.mimdit import MiMDiT"),
        ("export", "from mimdit.quantize import QUANTIZERS"),
        ("benchmarks", "from mimdit.export import EXPORTERS"),
        ("export", "from export.graph import DeployableGraph"),
        ("quantize", "from . import calibration"),
    ],
)
def test_a_wrong_arrow_is_seen(folder: str, source: str) -> None:
    assert forbidden(folder, source)


@pytest.mark.parametrize(
    ("folder", "source"),
    [("quantize", "from mimdit.export import onnx"), ("runtimes", "import numpy"), ("mimdit", "import mimdit.errors")],
)
def test_a_right_arrow_is_not(folder: str, source: str) -> None:
    assert not forbidden(folder, source)


def test_heavy_modules_exist() -> None:
    """A renamed module must not stay excused."""
    names = {module.name for module in modules()}
    assert set(HEAVY) <= names


def test_everything_else_imports_with_torch_and_all_targets_blocked() -> None:
    """Registries and target files included: listing targets costs no package."""
    names = [m.name for m in modules() if not _heavy(m.name) and not m.name.endswith("__main__")]
    command = [sys.executable, "-c", _IMPORT_WITHOUT, json.dumps(BLOCKED), json.dumps(names)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


_IMPORT_WITHOUT = """
import importlib, importlib.abc, json, sys

blocked, names = map(json.loads, sys.argv[1:])

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Blocker())
failures = []
for name in names:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        failures.append(f"{name}: {error}")
if failures:
    sys.exit("\\n".join(failures))

from mimdit.export import EXPORTERS
from mimdit.runtimes import RUNTIMES

required = {package for entry in (*EXPORTERS, *RUNTIMES) for package in entry.requires}
if unblocked := required.difference(blocked):
    sys.exit(f"this test does not block {unblocked}: add it to BLOCKED")
"""
