"""ONNX: 8-bit weights, and with w8a8 8-bit activations, as QDQ through ONNX Runtime's quantizer.

Convolutions and linear layers take 8-bit numbers; norms, softmax, sums, enlargements and what makes the photo from
residual, gain and offset stay in float. Weights are symmetric and have a scale a channel. Activations are unsigned with
a zero point: with signed ones ONNX Runtime was slower than fp32 on a CPU with VNNI (426 ms against 311, unsigned 215).
NNCF's QDQ leaves outputs in float, which ONNX Runtime then computes in float, too.
"""

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mimdit.cpu import instruction_set
from mimdit.export import onnx as exporter
from mimdit.export.converter import Converter
from mimdit.manifest import ID_KEY
from mimdit.quantize.channels_last import with_channels_last
from mimdit.quantize.onnx_size import shrink
from mimdit.quantize.qdq import with_float_sums
from mimdit.quantize.recipe import TOLERANCE, Recipe, float_file, layer_of
from mimdit.quantize.weights import rounded
from mimdit.targets import Precision

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

    from mimdit.export.graph import DeployableGraph
    from mimdit.quantize.calibration import CalibrationSet

_LAYERS = ("Conv", "Gemm", "MatMul")
_SATURATING = {"avx2"}  # has 8-bit products whose sums of two may pass 16 bits …
_EXACT = {"avx512-vnni", "avx-vnni", "amx-int8"}  # … and these have not


class Scheme(NamedTuple):
    """How 8-bit numbers stand for floats and lie in memory, as what computes with them wants it."""

    symmetric: bool  # activations are signed and have no zero point
    biases: bool  # in 32 bits, not in float
    may_saturate: bool  # on some CPUs, for which weights then keep to 7 bits
    channels_last: bool  # between convolutions, because those want it


FOR_CPUS = Scheme(symmetric=False, biases=True, may_saturate=True, channels_last=True)


def _convert(
    graphs: Sequence["DeployableGraph"],
    precision: Precision,
    folder: Path,
    bundle_id: str,
    recipe: Recipe | None = None,
) -> None:
    write(graphs, precision, folder, bundle_id, recipe or Recipe(), FOR_CPUS)


def write(
    graphs: Sequence["DeployableGraph"],
    precision: Precision,
    folder: Path,
    bundle_id: str,
    recipe: Recipe,
    scheme: Scheme,
) -> None:
    """An .onnx file a graph, and the weights that they share; `scheme` is for w8a8."""
    import onnx

    from mimdit.export.shared_weights import SharedWeights

    shared = SharedWeights(folder)
    for graph in graphs:
        with tempfile.TemporaryDirectory(prefix="mimdit-onnx-") as scratch:
            model = plain(float_file(exporter.CONVERTER, graph, recipe, Path(scratch)), graph)
        kept = recipe.kept(graph, precision)
        if precision == "w8":
            with_small_weights(model, kept)
        else:
            if scheme.channels_last:
                with_channels_last(model, kept)
            model = quantized(model, ranges(model, recipe.calibration(graph.tile)), kept, scheme=scheme)
        exporter.without_notes(model)
        shrink(model)
        model.metadata_props.add(key=ID_KEY, value=bundle_id)
        shared.take_from(model)
        onnx.save(model, folder / f"{graph.name}.onnx")
    shared.close()


def plain(path: Path, graph: "DeployableGraph") -> "ModelProto":
    """A float file with its weights inside, in fp32, under the network's names; nodes are called as their layer is."""
    import onnx
    import onnxruntime
    from onnx import numpy_helper

    from mimdit.export.weight_names import WeightNames

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # Fuses a product with its bias: as one node it is quantized as one.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory(prefix="mimdit-onnx-") as scratch:
        whole = f"{scratch}/whole.onnx"
        onnx.save(_widened(onnx.load(path)), whole)
        options.optimized_model_filepath = f"{scratch}/plain.onnx"
        # Not folded: a mask of windows would become a table of 1 MB.
        onnxruntime.InferenceSession(
            whole, options, providers=["CPUExecutionProvider"], disabled_optimizers=["ConstantFolding"]
        )
        model = onnx.load(options.optimized_model_filepath)
    names = WeightNames(graph)
    renamed: dict[str, str] = {}
    for tensor in list(model.graph.initializer):
        if tensor.data_type == onnx.TensorProto.FLOAT and not tensor.name.startswith("model."):
            name = names.name(numpy_helper.to_array(tensor))
            if name is None:
                continue
            name = f"model.{name}"
            if name in renamed.values():  # a step of several reads a copy
                model.graph.initializer.remove(tensor)
            renamed[tensor.name] = tensor.name = name
    times = Counter[str]()
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        if layer := _layer(node):
            times[layer] += 1  # steps compute a layer several times, and the quantizer goes by names of nodes
            node.name = layer if times[layer] == 1 else f"{layer} {times[layer]}"
    return model


def _widened(model: "ModelProto") -> "ModelProto":
    """Weights that the exporter stored in half, with a Cast behind, as the fp32 that they stand for; in place."""
    from onnx import numpy_helper

    casts = {node.input[0]: node for node in model.graph.node if node.input and node.input[0].endswith(".half")}
    for tensor in model.graph.initializer:
        if tensor.name in casts:
            name = casts[tensor.name].output[0]
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), name))
    for cast in casts.values():
        model.graph.node.remove(cast)
    return model


def layers(model: "ModelProto") -> list[str]:
    """The layers of a `plain` model, in the order in which they are computed."""
    return list(dict.fromkeys(layer for node in model.graph.node if (layer := _layer(node))))


def _layer(node: "NodeProto") -> str | None:
    """The layer that a node of a `plain` model computes."""
    return layer_of(node.input[1]) if node.op_type in _LAYERS else None


def ranges(model: "ModelProto", tiles: "CalibrationSet") -> Any:
    """Smallest and largest value of every activation of a `plain` model over the tiles.

    The extremes, not their mean over tiles: with that, tiles of strong noise were clipped (27.0 dB instead of 32.5).
    """
    import onnx
    from onnxruntime.quantization.calibrate import CalibrationDataReader, CalibrationMethod, create_calibrator

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._inputs = tiles.inputs()

        def get_next(self) -> dict[str, np.ndarray] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
            return next(self._inputs, None)

    with tempfile.TemporaryDirectory(prefix="mimdit-onnx-") as scratch:
        path = Path(scratch) / "plain.onnx"
        onnx.save(model, path)
        calibrator = create_calibrator(
            path,
            [*_LAYERS, "Relu"],
            augmented_model_path=f"{scratch}/augmented.onnx",
            calibrate_method=CalibrationMethod.MinMax,
        )
        calibrator.set_execution_providers(["CPUExecutionProvider"])  # pyright: ignore[reportAttributeAccessIssue]
        calibrator.collect_data(Reader())
        return calibrator.compute_data()


def quantized(
    model: "ModelProto",
    found: Any,
    floating: frozenset[str],
    only: str | None = None,
    scheme: Scheme = FOR_CPUS,
) -> "ModelProto":
    """A `plain` model with 8-bit layers, but for those in `floating`; with `only` that layer alone."""
    import copy

    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    small = {only} if only else set(layers(model)) - floating
    chosen = [node.name for node in model.graph.node if _layer(node) in small]
    if not chosen:  # which the quantizer takes for all
        return copy.deepcopy(model)
    # With its Relu a layer gives only what is above zero; without, half of the 256 steps would be cut away behind it.
    outputs = {node.output[0] for node in model.graph.node if node.name in chosen}
    relus = [node.name for node in model.graph.node if node.op_type == "Relu" and node.input[0] in outputs]
    quantizer = QDQQuantizer(
        copy.deepcopy(model),
        per_channel=True,
        reduce_range=scheme.may_saturate and reduces_range(instruction_set()),
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QInt8 if scheme.symmetric else QuantType.QUInt8,
        tensors_range=found,
        nodes_to_quantize=chosen + relus,
        nodes_to_exclude=[],
        op_types_to_quantize=[*_LAYERS, "Relu"],
        extra_options={
            "MatMulConstBOnly": True,
            # The 8-bit product of a linear layer may end in floats, that of a convolution may not (QGemm, QLinearConv).
            "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"],
            "ActivationSymmetric": scheme.symmetric,
            "QuantizeBias": scheme.biases,
        },
    )
    quantizer.quantize_model()
    with_float_sums(quantizer.model.model, frozenset(chosen))
    return quantizer.model.model


def reduces_range(instructions: Sequence[str]) -> bool:
    """Whether weights must keep to 7 bits: with AVX2 alone, sums of two 8-bit products saturate."""
    return bool(_SATURATING & set(instructions)) and not _EXACT & set(instructions)


def with_small_weights(model: "ModelProto", floating: frozenset[str]) -> None:
    """Weights of layers, but for those in `floating`, as 8 bits times a scale a channel, in place.

    Runtimes fold Cast and Mul while loading, so latency and memory are those of fp32. A DequantizeLinear would stand in
    the graph and be computed for every tile.
    """
    from onnx import TensorProto, helper, numpy_helper

    axes = {
        node.input[1]: 0 if node.op_type == "Conv" or _transposed(node) else 1
        for node in model.graph.node
        if (layer := _layer(node)) and layer not in floating
    }
    unfolded = []
    for tensor in model.graph.initializer:
        if tensor.name not in axes:
            continue
        name, values = tensor.name, numpy_helper.to_array(tensor)
        small, scale = rounded(values, axes[name])
        tensor.CopyFrom(numpy_helper.from_array(small, f"{name}_quantized"))
        model.graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
        unfolded.append(helper.make_node("Cast", [f"{name}_quantized"], [f"{name}_wide"], to=TensorProto.FLOAT))
        unfolded.append(helper.make_node("Mul", [f"{name}_wide", f"{name}_scale"], [name]))
    for node in reversed(unfolded):
        model.graph.node.insert(0, node)


def _transposed(node: Any) -> bool:
    return any(attribute.name == "transB" and attribute.i for attribute in node.attribute)


CONVERTER = Converter(
    target="onnx",
    precisions=("w8", "w8a8"),
    requires=("torch", "onnx", "onnxscript", "onnxruntime"),
    suffix=".onnx",
    tolerance=TOLERANCE,
    convert=_convert,
    tensor_names=exporter.CONVERTER.tensor_names,
)
