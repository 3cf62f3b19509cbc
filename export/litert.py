"""LiteRT: through litert-torch to .tflite. At fp16 the weights are stored so; a CPU computes in fp32 all the same."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimdit.export.converter import Converter
from mimdit.manifest import ID_KEY
from mimdit.silence import silenced
from mimdit.targets import Precision

if TYPE_CHECKING:
    from mimdit.export.graph import DeployableGraph


def _convert(graphs: Sequence["DeployableGraph"], precision: Precision, folder: Path, bundle_id: str) -> None:
    os.environ.setdefault("LITERT_TORCH_SHOW_PROGRESS", "n")  # it writes a page a graph to stdout, which is for data
    import litert_torch

    for graph in graphs:
        image, photo = graph.example_inputs()
        path = folder / f"{graph.name}.tflite"
        litert_torch.convert(graph, sample_kwargs={"image": image, "photo": photo}).export(str(path))
        model = read(path)
        _name_tensors(model, graph)
        _add_note(model, ID_KEY, bundle_id)
        path.write_bytes(packed(model))
        if precision == "fp16":
            path.write_bytes(_with_half_weights(path))


def _name_tensors(model: Any, graph: "DeployableGraph") -> None:
    """Call constants what the network calls them, and all between by module and number.

    The converter names constants by class, and the rest by the classes all the way down: 0.1 MB of names a file.
    """
    import numpy as np

    from mimdit.export.weight_names import WeightNames

    names = WeightNames(graph)
    for subgraph in model.subgraphs:
        ports = {*subgraph.inputs, *subgraph.outputs}
        for i, tensor in enumerate(subgraph.tensors):
            data = model.buffers[tensor.buffer].data
            name = None
            if tensor.type == _float32() and data is not None:
                name = names.name(np.frombuffer(bytes(data), np.float32))
            if name or i not in ports:
                tensor.name = (name or f"{_module(tensor.name.decode())}.{i}").encode()


def _module(name: str) -> str:
    """`…/mimdit.model.experts.SwinAttention_swin_0;24` → `SwinAttention_swin_0`."""
    return name.split(";")[0].rsplit("/", 1)[-1].rsplit(".", 1)[-1]


def _float32() -> int:
    from ai_edge_litert.schema_py_generated import TensorType

    return TensorType.FLOAT32


def _add_note(model: Any, key: str, value: str) -> None:
    """Metadata of a .tflite file is a named buffer."""
    from ai_edge_litert.schema_py_generated import MetadataT

    note = MetadataT()
    note.name = key.encode()  # pyright: ignore[reportAttributeAccessIssue]  bytes, whatever the stub says
    note.buffer = add_buffer(model, value.encode())
    model.metadata = [*(model.metadata or []), note]


def add_buffer(model: Any, data: bytes) -> int:
    """Appends bytes to a file's buffers; where they are."""
    import numpy as np
    from ai_edge_litert.schema_py_generated import BufferT

    buffer: Any = BufferT()
    buffer.data = np.frombuffer(data, np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _with_half_weights(path: Path) -> bytes:
    """The file with the weights of convolutions and linear layers in fp16, and a DEQUANTIZE behind each."""
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.quantizer import Quantizer

    quantizer = Quantizer(str(path))
    quantizer.update_quantization_recipe(
        regex=".*",
        operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
        op_config=qtyping.OpQuantizationConfig(
            weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
            compute_precision=qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        ),
        algorithm_key="float_casting",
    )
    with silenced():
        quantized = quantizer.quantize().quantized_model
    assert quantized is not None
    return bytes(quantized)


def read(path: Path) -> Any:
    """A .tflite file as the schema's objects."""
    return parsed(path.read_bytes())


def parsed(data: bytes) -> Any:
    """The content of a .tflite file as the schema's objects."""
    from ai_edge_litert.schema_py_generated import ModelT

    return ModelT.InitFromPackedBuf(data, 0)


def with_id(data: bytes, bundle_id: str) -> bytes:
    """A .tflite file with another bundle's id in its metadata."""
    model = parsed(data)
    model.metadata = [note for note in model.metadata or [] if note.name != ID_KEY.encode()]
    _add_note(model, ID_KEY, bundle_id)
    return packed(model)


def packed(model: Any) -> bytes:
    """The schema's objects as a .tflite file."""
    import flatbuffers

    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor_names(path: Path) -> Iterable[str]:
    return [tensor.name.decode() for subgraph in read(path).subgraphs for tensor in subgraph.tensors]


CONVERTER = Converter(
    target="litert",
    precisions=("fp32", "fp16"),
    requires=("torch", "litert_torch", "ai_edge_litert", "ai_edge_quantizer"),
    suffix=".tflite",
    tolerance={"fp32": 1e-4, "fp16": 3 / 255},
    convert=_convert,
    tensor_names=_tensor_names,
)
