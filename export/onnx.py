"""ONNX: `torch.onnx.export` through the ExportedProgram, weights shared between the files of a bundle.

At fp16 weights and arithmetic are fp16, inputs and output stay those of the tensor contract.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mimdit import onnx_file
from mimdit.export.converter import Converter
from mimdit.manifest import ID_KEY
from mimdit.targets import Precision

if TYPE_CHECKING:
    from onnx import ModelProto

    from mimdit.export.graph import DeployableGraph

OPSET = 20


def _convert(graphs: Sequence["DeployableGraph"], precision: Precision, folder: Path, bundle_id: str) -> None:
    import onnx
    import torch
    from onnxruntime.transformers.float16 import convert_float_to_float16

    from mimdit.export.shared_weights import SharedWeights

    shared = SharedWeights(folder)
    for graph in graphs:
        program = torch.onnx.export(
            graph,
            graph.example_inputs(),
            input_names=["image", "photo"],
            output_names=["restored"],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        model = without_notes(program.model_proto)
        if precision == "fp16":
            # All operations: which of them lack fp16 arithmetic is for the device to know, and CPUs insert casts.
            model = convert_float_to_float16(model, keep_io_types=True, op_block_list=[])
        model.metadata_props.add(key=ID_KEY, value=bundle_id)
        shared.take_from(model)
        onnx.save(model, folder / f"{graph.name}.onnx")
    shared.close()


def without_notes(model: "ModelProto") -> "ModelProto":
    """The model without the exporter's notes, which name paths of the machine that it ran on; changed in place.

    Nor with the shapes in between, a third of the file: every runtime infers them.
    """
    del model.metadata_props[:]
    del model.graph.value_info[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    return model


def _tensor_names(path: Path) -> Iterable[str]:
    return [tensor.name for tensor in onnx_file.parse(path.read_bytes()).tensors]


CONVERTER = Converter(
    target="onnx",
    precisions=("fp32", "fp16"),
    requires=("torch", "onnx", "onnxscript", "onnxruntime"),
    suffix=".onnx",
    tolerance={"fp32": 1e-4, "fp16": 3 / 255},
    convert=_convert,
    tensor_names=_tensor_names,
)
