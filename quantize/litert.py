"""LiteRT: AI Edge Quantizer, on the file that the exporter wrote.

At w8 the weights of layers have 8 bits and a DEQUANTIZE behind each; at w8a8 layers take and give 8-bit numbers.
"""

import copy
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimdit.export import litert as exporter
from mimdit.export.converter import Converter
from mimdit.files import write_file
from mimdit.quantize.recipe import LARGE, TOLERANCE, Recipe, float_file, layer_of
from mimdit.silence import silenced
from mimdit.targets import Precision

if TYPE_CHECKING:
    from mimdit.export.graph import DeployableGraph

_LAYERS = ("CONV_2D", "FULLY_CONNECTED")
_READS_FP16 = 3  # version of DEQUANTIZE (TFLite's op_version.cc)


def _convert(
    graphs: Sequence["DeployableGraph"],
    precision: Precision,
    folder: Path,
    bundle_id: str,
    recipe: Recipe | None = None,
) -> None:
    recipe = recipe or Recipe()
    for graph in graphs:
        with tempfile.TemporaryDirectory(prefix="mimdit-litert-") as scratch:
            path = float_file(exporter.CONVERTER, graph, recipe, Path(scratch))
            floating = _outputs(path, recipe.kept(graph, precision))
            named = Path(scratch) / "named.tflite"
            named.write_bytes(exporter.with_id(path.read_bytes(), bundle_id))
            data = _quantized(named, precision, floating, recipe, graph.tile)
        write_file(folder / f"{graph.name}.tflite", _shrunk(data))


def _quantized(path: Path, precision: Precision, floating: list[str], recipe: Recipe, tile: int) -> bytes:
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.quantizer import Quantizer

    quantizer = Quantizer(str(path))
    for name in _LAYERS:
        quantizer.update_quantization_recipe(
            regex=".*", operation_name=qtyping.TFLOperationName[name], op_config=_config(precision)
        )
    for output in floating:
        quantizer.update_quantization_recipe(
            regex=rf"^{re.escape(output)};?$",
            operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
            algorithm_key="no_quantize",
        )
    with silenced():
        seen = None
        if precision == "w8a8":
            seen = _extremes(
                # A list, because it goes through it twice.
                quantizer.calibrate({"serving_default": [inputs]}, num_threads=1)
                for inputs in recipe.calibration(tile).inputs()
            )
        result = quantizer.quantize(seen).quantized_model
    assert result is not None
    return bytes(result)


def _extremes(seen: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What was seen on single tiles → smallest and largest over all of them, as in quantize/onnx.py.

    The quantizer's own way is a moving average, in which strong noise was clipped (30.5 dB instead of 32.9).
    """
    import numpy as np

    total: dict[str, Any] = {}
    for one in seen:
        for name, found in one.items():
            known = total.setdefault(name, dict(found))
            if found:
                known["min"] = np.minimum(known["min"], found["min"])
                known["max"] = np.maximum(known["max"], found["max"])
    return total


def _shrunk(data: bytes) -> bytes:
    """Large constants beside the quantized weights (seed noise and what reads it) in fp16, a DEQUANTIZE behind each."""
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    model = exporter.parsed(data)
    for buffer in model.buffers:
        if buffer.offset > 1:  # the quantizer writes weights behind the flatbuffer
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    widen = _operator_code(model, schema.BuiltinOperator.DEQUANTIZE)
    halves: dict[int, int] = {}  # tensors may share a buffer
    for subgraph in model.subgraphs:
        added = []
        for i, tensor in enumerate(list(subgraph.tensors)):
            values = model.buffers[tensor.buffer].data
            if tensor.type != schema.TensorType.FLOAT32 or values is None or len(values) < 4 * LARGE:
                continue
            if tensor.buffer not in halves:
                half_values = np.frombuffer(bytes(values), np.float32).astype(np.float16)
                halves[tensor.buffer] = exporter.add_buffer(model, half_values.tobytes())
            half, operation = copy.copy(tensor), schema.OperatorT()
            half.type, half.name, half.buffer = schema.TensorType.FLOAT16, tensor.name + b".half", halves[tensor.buffer]
            tensor.buffer = 0  # the format's empty one: now it is computed
            operation.opcodeIndex, operation.inputs, operation.outputs = widen, [len(subgraph.tensors)], [i]
            subgraph.tensors.append(half)
            added.append(operation)
        subgraph.operators = added + subgraph.operators
    for buffer in halves:
        model.buffers[buffer].data = None
    return exporter.packed(model)


def _operator_code(model: Any, builtin: int) -> int:
    """The index of a built-in operator among the file's, of a version that reads fp16; added if it is not there."""
    from ai_edge_litert.schema_py_generated import OperatorCodeT

    for i, known in enumerate(model.operatorCodes):
        if max(known.builtinCode, known.deprecatedBuiltinCode) == builtin:
            known.version = max(known.version, _READS_FP16)
            return i
    code = OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version = _READS_FP16
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _config(precision: Precision) -> Any:
    from ai_edge_quantizer import qtyping

    def bits(granularity: Any, symmetric: bool = True) -> Any:
        return qtyping.TensorQuantizationConfig(num_bits=8, symmetric=symmetric, granularity=granularity)

    weights = bits(qtyping.QuantGranularity.CHANNELWISE)
    if precision == "w8":
        return qtyping.OpQuantizationConfig(
            weight_tensor_config=weights,
            compute_precision=qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        )
    return qtyping.OpQuantizationConfig(
        activation_tensor_config=bits(qtyping.QuantGranularity.TENSORWISE, symmetric=False),
        weight_tensor_config=weights,
        compute_precision=qtyping.ComputePrecision.INTEGER,
    )


def _outputs(path: Path, layers: frozenset[str]) -> list[str]:
    """The names of what the given layers write: by them the quantizer knows an operation."""
    model = exporter.read(path)
    found: list[str] = []
    for subgraph in model.subgraphs:
        names = [tensor.name.decode() for tensor in subgraph.tensors]
        for operation in subgraph.operators:
            if any(layer_of(names[i]) in layers for i in operation.inputs if i >= 0):
                found += [names[i] for i in operation.outputs]
    return found


CONVERTER = Converter(
    target="litert",
    precisions=("w8", "w8a8"),
    requires=("torch", "litert_torch", "ai_edge_litert", "ai_edge_quantizer"),
    suffix=".tflite",
    tolerance=TOLERANCE,
    convert=_convert,
    tensor_names=exporter.CONVERTER.tensor_names,
)
