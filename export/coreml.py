"""Core ML: coremltools from the ExportedProgram (from a traced module it fails with this torch), as .mlpackage."""

import contextlib
import io
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mimdit import mil_file
from mimdit.export.converter import Converter
from mimdit.manifest import ID_KEY
from mimdit.targets import Precision

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from mimdit.export.graph import DeployableGraph

# What coremltools leaves in a package beside the model: for a debugger, 0.25 of a nano package's 2 MB.
_DEBUG_FILE = "executorch_debug_handle_mapping.json"
# coremltools turns a weight's name a.b.0.c into p_a_b_0_c: what stands for the sub-experts is turned back.
_NUMBERED = re.compile(r"_\d+$")
_EXPERT = re.compile(r"branch_blocks_(\d+)_experts_([a-z]+_\d+)_")
_IN_BYTES = re.compile(_EXPERT.pattern.encode())


def _convert(
    release: str, graphs: Sequence["DeployableGraph"], precision: Precision, folder: Path, bundle_id: str
) -> None:
    """`release`: the earliest that opens the files, as coremltools names it; iOS18 is macOS 15 too."""
    import torch

    with quiet():
        for graph in graphs:
            program = torch.export.export(graph, graph.example_inputs())
            model = converted(program, release, _in_half(graph) if precision == "fp16" else None)
            write(model, graph, folder, bundle_id)


def converted(program: "ExportedProgram", release: str, in_half: Any = None, passes: Any = None) -> Any:
    """A program (image, photo → restored) as an MLModel, in fp32 or, of what `in_half` chooses, in fp16.

    `passes`: coremltools' PassPipeline, by default its usual one.
    """
    import coremltools

    assert program.example_inputs is not None
    model = coremltools.convert(
        program.run_decompositions({}),
        convert_to="mlprogram",
        minimum_deployment_target=getattr(coremltools.target, release),
        compute_precision=in_half or coremltools.precision.FLOAT32,
        pass_pipeline=passes,
        # Photos go in and out as float32 at every precision: the contract of all targets.
        inputs=[
            coremltools.TensorType(name, tuple(example.shape), dtype=np.float32)
            for name, example in zip(("image", "photo"), program.example_inputs[0], strict=True)
        ],
        outputs=[coremltools.TensorType("restored", dtype=np.float32)],
        skip_model_load=True,
    )
    assert isinstance(model, coremltools.models.MLModel)
    return model


def write(model: Any, graph: "DeployableGraph", folder: Path, bundle_id: str) -> None:
    """An MLModel as `graph.name`.mlpackage."""
    model.user_defined_metadata[ID_KEY] = bundle_id
    package = folder / f"{graph.name}.mlpackage"
    model.save(str(package))
    (package / _DEBUG_FILE).unlink(missing_ok=True)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """coremltools warns of every constant that it narrows, and draws a progress bar for every one of its passes."""
    logging.getLogger("coremltools").setLevel(logging.ERROR)
    with contextlib.redirect_stderr(io.StringIO()):
        yield


def _in_half(graph: "DeployableGraph") -> Any:
    """All operations in fp16 but the fragile ones. coremltools calls an operation after the node it was made from, with
    a number where one node became several."""
    import coremltools

    kept = {operation.node for operation in graph.fragile}

    def chosen(operation: Any) -> bool:
        return operation.name not in kept and _NUMBERED.sub("", operation.name) not in kept

    return coremltools.transform.FP16ComputePrecision(op_selector=chosen)


def experts_named_in(content: bytes) -> set[str]:
    """Where sub-experts are named in the bytes of a file that holds a Core ML model."""
    return {_EXPERT.sub(r".branch.blocks.\1.experts.\2.", found[0].decode()) for found in _IN_BYTES.finditer(content)}


def _tensor_names(path: Path) -> Iterable[str]:
    return [_EXPERT.sub(r".branch.blocks.\1.experts.\2.", name) for name in mil_file.read(path).constants]


_PLATFORMS = {"ios16": partial(_convert, "iOS16"), "ios18": partial(_convert, "iOS18")}

CONVERTER = Converter(
    target="coreml",
    precisions=("fp32", "fp16"),
    requires=("torch", "coremltools"),
    suffix=".mlpackage",
    tolerance={"fp32": 1e-4, "fp16": 3 / 255},
    convert=_PLATFORMS["ios16"],
    tensor_names=_tensor_names,
    half_arithmetic=True,
    platform="ios16",
    platforms=_PLATFORMS,
)
