"""TensorRT: the ONNX quantizer's file as TensorRT reads it, symmetric and with biases in float, and an engine of it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mimdit.export import tensorrt as exporter
from mimdit.export.converter import Converter
from mimdit.quantize import onnx
from mimdit.quantize.recipe import TOLERANCE, Recipe
from mimdit.targets import Precision

if TYPE_CHECKING:
    from mimdit.export.graph import DeployableGraph

# What TensorRT's parser takes: no zero points, no 32-bit biases. GPUs' sums do not saturate.
_SCHEME = onnx.Scheme(symmetric=True, biases=False, may_saturate=False, channels_last=False)


def _convert(
    gpus: Sequence[str],
    graphs: Sequence["DeployableGraph"],
    precision: Precision,
    folder: Path,
    bundle_id: str,
    recipe: Recipe | None = None,
) -> None:
    onnx.write(graphs, precision, folder, bundle_id, recipe or Recipe(), _SCHEME)
    exporter.build_engines(gpus, graphs, folder, bundle_id)


_PLATFORMS = {name: partial(_convert, gpus) for name, gpus in exporter.PLATFORMS.items()}

CONVERTER = Converter(
    target="tensorrt",
    precisions=("w8a8",),
    requires=("torch", "onnx", "onnxscript", "onnxruntime", "tensorrt_rtx"),
    suffix=".engine",
    tolerance=TOLERANCE,
    convert=_PLATFORMS["rtx"],
    tensor_names=exporter.CONVERTER.tensor_names,
    platform="rtx",
    platforms=_PLATFORMS,
)
