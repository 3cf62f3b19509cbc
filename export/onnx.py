"""ONNX: `torch.onnx.export` through the ExportedProgram, weights shared between the files of a bundle.

At fp16 weights and arithmetic are fp16, inputs and output stay those of the tensor contract.
"""

import ast
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mimdit import onnx_file
from mimdit.export.converter import Converter
from mimdit.manifest import ID_KEY
from mimdit.routing.inside import expert_digests
from mimdit.targets import Precision

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

    from mimdit.export.fp16_lint import Fragile
    from mimdit.export.graph import DeployableGraph

OPSET = 20
_FP32, _FP16 = 1, 10  # as ONNX numbers them


def _convert(graphs: Sequence["DeployableGraph"], precision: Precision, folder: Path, bundle_id: str) -> None:
    import onnx
    import torch

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
        model = program.model_proto
        if precision == "fp16":
            model = _in_half(model, graph.fragile)
        model = without_notes(model)
        model.metadata_props.add(key=ID_KEY, value=bundle_id)
        shared.take_from(model)
        onnx.save(model, folder / f"{graph.name}.onnx")
    shared.close()


def _in_half(model: "ModelProto", fragile: Sequence["Fragile"]) -> "ModelProto":
    """Weights and arithmetic in fp16, but for what stays in fp32. Inputs and outputs keep their types."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    for i, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{i}"
    # The exporter declares weights as values too, and the converter would take those of fp32 nodes for fp16.
    weights = {tensor.name for tensor in model.graph.initializer}
    declared = [value for value in model.graph.value_info if value.name not in weights]
    del model.graph.value_info[:]
    model.graph.value_info.extend(declared)
    kept = list(_nodes_of(model, fragile))
    # All other operations: which of them lack fp16 arithmetic is for the device to know, and CPUs insert casts.
    model = convert_float_to_float16(model, keep_io_types=True, op_block_list=[], node_block_list=kept)
    _join_casts(model)
    return model


def _nodes_of(model: "ModelProto", fragile: Sequence["Fragile"]) -> Iterator[str]:
    """Names of the nodes made from fragile operations, told from the exporter's notes.

    Where an operation left none of its name, because it was written in others, all nodes of its module.
    """
    made: dict[tuple[str, str], list[str]] = {}
    for node in model.graph.node:
        notes = {note.key: note.value for note in node.metadata_props}
        scopes = ast.literal_eval(notes.get("pkg.torch.onnx.name_scopes", "[]"))  # modules, then the operation
        classes = ast.literal_eval(notes.get("pkg.torch.onnx.class_hierarchy", "[]"))
        if len(scopes) > 1:
            for operation in ("", classes[-1].split(".")[1] if classes[-1].startswith("aten.") else ""):
                made.setdefault((scopes[-2], operation), []).append(node.name)
    for operation in fragile:
        yield from made.get((operation.module, operation.operation)) or made.get((operation.module, ""), [])


def _join_casts(model: "ModelProto") -> None:
    """Between two nodes that stay in fp32 the converter goes through fp16, which is what they were kept from."""
    made = {output: node for node in model.graph.node for output in node.output}
    widened = {}
    for node in model.graph.node:
        narrow = made.get(node.input[0]) if node.op_type == "Cast" else None
        if narrow is not None and narrow.op_type == "Cast" and (_cast_to(narrow), _cast_to(node)) == (_FP16, _FP32):
            widened[node.output[0]] = narrow.input[0]
    for node in model.graph.node:
        node.input[:] = [widened.get(name, name) for name in node.input]
    outputs = {output.name for output in model.graph.output}
    while True:
        read = outputs.union(*(node.input for node in model.graph.node))
        dead = [node for node in model.graph.node if node.op_type == "Cast" and node.output[0] not in read]
        if not dead:
            return
        for node in dead:
            model.graph.node.remove(node)


def _cast_to(node: "NodeProto") -> int:
    return next(attribute.i for attribute in node.attribute if attribute.name == "to")


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


def expert_weights(path: Path) -> dict[str, str]:
    """Sub-experts by the weights that lie in the file, or in the file beside it that it points to."""
    return expert_digests(_expert_tensors(path))


def _expert_tensors(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    for tensor in onnx_file.parse(path.read_bytes()).tensors:
        if ".experts." in tensor.name and tensor.data_type in (_FP32, _FP16):
            with open(path if tensor.location is None else path.parent / tensor.location, "rb") as file:
                file.seek(tensor.offset)
                yield tensor.name, np.frombuffer(file.read(tensor.length), onnx_file.FLOAT_TYPES[tensor.data_type])


CONVERTER = Converter(
    target="onnx",
    precisions=("fp32", "fp16"),
    requires=("torch", "onnx", "onnxscript", "onnxruntime"),
    suffix=".onnx",
    tolerance={"fp32": 1e-4, "fp16": 3 / 255},
    convert=_convert,
    tensor_names=_tensor_names,
    expert_weights=expert_weights,
    half_arithmetic=True,
)
