"""Two ONNX bundles crossed: the graph of one with tensors of the other, to see which of them costs what.

Tensors are matched by name, shape and type. What a factor is in a file: `calibration` the scales and zero points of
activations; `plan` the sub-experts; `weights` every other tensor. Precision and converter are the graph itself, and so
is a plan that names other sub-experts.
"""

import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from mimdit.benchmarks.factors import Factor
from mimdit.bundle import write_bundle
from mimdit.errors import BundleError
from mimdit.manifest import Manifest

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

    from mimdit.bundle import Bundle
    from mimdit.manifest import ModelEntry

__all__ = ["cross", "factor_of", "same_graph"]

_EXPERT = re.compile(r"branch\.blocks\.\d+\.experts\.")
_GRID = re.compile(r"(.*?)_?(scale|zero_point)$")  # of an 8-bit grid, as ONNX Runtime and NNCF name them


def cross(graph: "Bundle", other: "Bundle", take: Collection[Factor], out: Path) -> "Bundle":
    """Writes `graph` with the tensors of the factors in `take` from `other`, and opens it. Raises BundleError."""
    import onnx

    from mimdit.bundle import open_bundle

    manifest = graph.manifest

    def fill(folder: Path) -> None:
        for entry in manifest.models:
            model, donor = (_load(bundle, bundle.entry(entry.variant, entry.tile)) for bundle in (graph, other))
            _transplant(model, donor, take)
            onnx.save(model, folder / entry.file)

    blank = manifest.model_dump(exclude={"files", "dispatcher"})
    for part in (blank, *blank["models"]):  # what the network makes of one tile holds for neither of the two crossed
        part.pop("golden", None)
    write_bundle(out, Manifest.model_validate(blank), fill, overwrite=True)
    return open_bundle(out)


def same_graph(a: "Bundle", b: "Bundle") -> bool:
    """Whether the files of two bundles have the same operations and the same named tensors."""
    for entry in a.manifest.models:
        first, second = (_load(bundle, bundle.entry(entry.variant, entry.tile)) for bundle in (a, b))
        if [node.op_type for node in first.graph.node] != [node.op_type for node in second.graph.node]:
            return False
        if {t.name for t in first.graph.initializer} != {t.name for t in second.graph.initializer}:
            return False
    return True


def factor_of(name: str, names: Collection[str]) -> Factor:
    """The factor that a tensor belongs to, among the names of all tensors of its file."""
    if found := _GRID.fullmatch(name):
        # The scale of a weight follows from the weight; that of an activation from what was seen in calibration.
        return "weights" if any(f"{found[1]}{end}" in names for end in ("", "_quantized")) else "calibration"
    return "plan" if _EXPERT.search(name) else "weights"


def _load(bundle: "Bundle", entry: "ModelEntry") -> "ModelProto":
    import onnx

    if not entry.file.endswith(".onnx"):
        raise BundleError(f"{bundle.path.name} is for {bundle.manifest.target}: only ONNX files can be crossed")
    return onnx.load(bundle.file(entry.file))


def _transplant(model: "ModelProto", donor: "ModelProto", take: Collection[Factor]) -> None:
    names = {tensor.name for tensor in model.graph.initializer}
    given = {tensor.name: tensor for tensor in donor.graph.initializer}
    for tensor in model.graph.initializer:
        if factor_of(tensor.name, names) in take and _alike(tensor, given.get(tensor.name)):
            tensor.CopyFrom(given[tensor.name])


def _alike(a: "TensorProto", b: "TensorProto | None") -> bool:
    return b is not None and a.dims == b.dims and a.data_type == b.data_type
