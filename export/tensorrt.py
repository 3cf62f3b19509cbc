"""TensorRT: an engine built ahead of time by `tensorrt_rtx`, without a GPU, beside the ONNX file that it came from."""

import re
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mimdit.export import onnx
from mimdit.export.converter import Converter
from mimdit.files import write_file
from mimdit.runtimes.engines import GPUS, Library
from mimdit.targets import Precision

if TYPE_CHECKING:
    from mimdit.export.graph import DeployableGraph

# One engine may serve several GPUs: for five of them it has the size of one (21.5 MB of the default `denoise`) and is
# built in the same 2 s. Turing (sm_75) is left out, because it multiplies no fp32 matrices.
_TOGETHER = tuple(gpu for gpu in GPUS if gpu != "sm_75")
_LAYER = re.compile(rb"model\.branch\.blocks\.\d+\.experts\.[\w.]+")  # as _name_nodes_by_weights calls it


def _convert(
    gpus: Sequence[str], graphs: Sequence["DeployableGraph"], precision: Precision, folder: Path, bundle_id: str
) -> None:
    onnx.CONVERTER.convert(graphs, precision, folder, bundle_id)
    build_engines(gpus, graphs, folder, bundle_id)


def build_engines(gpus: Sequence[str], graphs: Sequence["DeployableGraph"], folder: Path, bundle_id: str) -> None:
    """An engine beside the .onnx file of each graph. Raises MimditError where the library refuses one."""
    library = Library("tensorrt_rtx")
    for graph in graphs:
        path = folder / f"{graph.name}.onnx"
        _name_nodes_by_weights(path)
        write_file(path.with_suffix(".engine"), library.build(path, gpus, bundle_id))


def _name_nodes_by_weights(path: Path) -> None:
    """An engine keeps the names of nodes, however it fuses them, but not those of weights."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    for node in model.graph.node:
        if weight := next((name for name in node.input if name.startswith("model.")), None):
            node.name = f"{weight} {node.name}"
    onnx.save(model, path)


def _tensor_names(path: Path) -> Iterable[str]:
    return [name.decode() for name in _LAYER.findall(path.read_bytes())]


# What --platform names, and the GPUs of each.
PLATFORMS = {"rtx": _TOGETHER, **{gpu: (gpu,) for gpu in GPUS}}

_PLATFORMS = {name: partial(_convert, gpus) for name, gpus in PLATFORMS.items()}

CONVERTER = Converter(
    target="tensorrt",
    precisions=("fp32", "fp16"),
    requires=("torch", "onnx", "onnxscript", "tensorrt_rtx"),
    suffix=".engine",
    tolerance={"fp32": 1e-4, "fp16": 3 / 255},
    convert=_PLATFORMS["rtx"],
    tensor_names=_tensor_names,
    half_arithmetic=True,
    platform="rtx",
    platforms=_PLATFORMS,
)
