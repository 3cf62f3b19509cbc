"""Who computes an ExecuTorch file: XNNPACK on every CPU, Core ML on Apple's chips, QNN on Qualcomm's NPU.

Each function takes a graph and a precision and gives the lowered program. XNNPACK's is the one that runs on this
machine; files of the two others are made here and run on their devices alone.
"""

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from mimdit.errors import MimditError, MissingPackageError
from mimdit.targets import Precision

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from mimdit.export.graph import DeployableGraph

_QNN_CHIP = "SM8650"  # Snapdragon 8 Gen 3; later chips open its files


def _xnnpack(graph: "DeployableGraph", precision: Precision) -> Any:
    """The graph is rewritten in XNNPACK's own operations first (`xnnpack_ops.py`)."""
    import torch

    from mimdit.export.half import half_program
    from mimdit.export.xnnpack_ops import rewrite

    program = half_program(graph) if precision == "fp16" else torch.export.export(graph, graph.example_inputs())
    return lowered_to_xnnpack(rewrite(program))


def lowered_to_xnnpack(program: "ExportedProgram") -> Any:
    """A program in XNNPACK's own operations, handed to it."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    return to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])


def _coreml(graph: "DeployableGraph", precision: Precision) -> Any:
    if find_spec("coremltools") is None:
        raise MissingPackageError("coremltools", "coreml")
    import coremltools
    import torch
    from executorch.backends.apple.coreml.compiler import CoreMLBackend
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner
    from executorch.exir import to_edge_transform_and_lower

    specs = CoreMLBackend.generate_compile_specs(
        compute_precision=coremltools.precision.FLOAT16 if precision == "fp16" else coremltools.precision.FLOAT32,
        minimum_deployment_target=coremltools.target.iOS18,
    )
    program = torch.export.export(graph, graph.example_inputs())
    return to_edge_transform_and_lower(program, partitioner=[CoreMLPartitioner(compile_specs=specs)])


def _qnn(graph: "DeployableGraph", precision: Precision) -> Any:
    if precision != "fp16":
        raise MimditError("Qualcomm's NPU computes no fp32: build with --precision fp16")
    if "QNN_SDK_ROOT" not in os.environ:  # without it ExecuTorch would fetch the SDK by itself
        raise MimditError(
            "QNN needs Qualcomm's AI Engine Direct SDK: install it from qualcomm.com/developer, then run  export "
            "QNN_SDK_ROOT=/path/to/sdk LD_LIBRARY_PATH=$QNN_SDK_ROOT/lib/x86_64-linux-clang  and  "
            "pip install py-cpuinfo"
        )
    if find_spec("cpuinfo") is None:
        raise MimditError("cpuinfo is not installed: run  pip install py-cpuinfo")
    from executorch.backends.qualcomm.serialization.qc_schema import QcomChipset
    from executorch.backends.qualcomm.utils.utils import (
        generate_htp_compiler_spec,
        generate_qnn_executorch_compiler_spec,
        to_edge_transform_and_lower_to_qnn,
    )

    specs = generate_qnn_executorch_compiler_spec(
        soc_model=getattr(QcomChipset, _QNN_CHIP), backend_options=generate_htp_compiler_spec(use_fp16=True)
    )
    return to_edge_transform_and_lower_to_qnn(graph, graph.example_inputs(), specs)  # pyright: ignore


# By the words of --platform.
DELEGATES: dict[str, Callable[["DeployableGraph", Precision], Any]] = {
    "xnnpack": _xnnpack,
    "coreml": _coreml,
    "qnn": _qnn,
}
