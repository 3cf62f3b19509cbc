"""OpenVINO: 8-bit weights, and with w8a8 8-bit activations through NNCF, on the file that the exporter wrote.

Only what layers read is quantized: their outputs, sums, norms, softmax and enlargements stay in float, which is bf16
where the CPU has it (runtimes/openvino.py). With NNCF's own choice (sums too) `denoise` lost 0.4 dB.
"""

import contextlib
import logging
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimdit.export import openvino as exporter
from mimdit.export.converter import Converter
from mimdit.manifest import ID_KEY
from mimdit.quantize.recipe import LARGE, TOLERANCE, Recipe, float_file, layer_of
from mimdit.quantize.weights import rounded
from mimdit.runtimes.openvino import PRECISION_KEY
from mimdit.silence import silenced
from mimdit.targets import Precision

if TYPE_CHECKING:
    from mimdit.export.graph import DeployableGraph
    from mimdit.quantize.calibration import CalibrationSet

_LAYERS = {"Convolution", "MatMul"}
_PASSIVE = {"Constant", "Parameter", "Result", "Convert"}


def _convert(
    graphs: Sequence["DeployableGraph"],
    precision: Precision,
    folder: Path,
    bundle_id: str,
    recipe: Recipe | None = None,
) -> None:
    import openvino

    recipe = recipe or Recipe()
    for graph in graphs:
        with tempfile.TemporaryDirectory(prefix="mimdit-openvino-") as scratch:
            model = openvino.Core().read_model(float_file(exporter.CONVERTER, graph, recipe, Path(scratch)))
            layers = {n.get_friendly_name(): _layer(n) for n in model.get_ops() if n.get_type_name() in _LAYERS}
            kept = recipe.kept(graph, precision)
            floating = [name for name, layer in layers.items() if layer is None or layer in kept]
            if precision == "w8":
                _with_small_weights(model, floating)
            else:
                with _quiet():
                    model = _quantized(model, floating, recipe.calibration(graph.tile))
            _shrink(model)
            _share_constants(model)
            model.set_rt_info(bundle_id, ID_KEY.split("."))
            model.set_rt_info(precision, PRECISION_KEY.split("."))
            path = folder / f"{graph.name}.xml"
            openvino.save_model(model, path, compress_to_fp16=False)
            # A seventh of it is indentation.
            path.write_text(re.sub(r"\n\s*", "", path.read_text(encoding="utf-8")), encoding="utf-8")


def _with_small_weights(model: Any, floating: list[str]) -> None:
    """Weights of layers, but for those in `floating`, as 8 bits times a scale a channel, in place.

    NNCF's own (`compress_weights`) has scales in fp16 and one step more on one side: on four photos `derain` lost
    0.06 dB where this loses 0.01.
    """
    from openvino import op, opset13

    across: dict[str, int] = {}  # steps compute a layer several times, with one weight
    for node in model.get_ops():
        if node.get_type_name() in _LAYERS and node.get_friendly_name() not in floating:
            last = node.get_type_name() == "MatMul" and not node.get_attributes()["transpose_b"]
            across[_weight(node).get_friendly_name()] = 1 if last else 0
    for weight in model.get_ops():
        if weight.get_type_name() != "Constant" or weight.get_friendly_name() not in across:
            continue
        small, scale = rounded(weight.get_data(), across[weight.get_friendly_name()])
        stored = op.Constant(small)
        stored.set_friendly_name(weight.get_friendly_name())
        wide = opset13.multiply(opset13.convert(stored, "f32"), op.Constant(scale))
        for target in weight.output(0).get_target_inputs():
            target.replace_source_output(wide.output(0))


def _quantized(model: Any, floating: list[str], tiles: "CalibrationSet") -> Any:
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    return nncf.quantize(
        model,
        nncf.Dataset(list(tiles.inputs())),
        subset_size=len(tiles.tiles),
        # The extremes over all tiles, as in quantize/onnx.py.
        advanced_parameters=AdvancedQuantizationParameters(
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX
        ),
        ignored_scope=nncf.IgnoredScope(
            names=floating,
            types=sorted({node.get_type_name() for node in model.get_ops()} - _LAYERS - _PASSIVE),
            validate=False,
        ),
    )


def _shrink(model: Any) -> None:
    """Large constants beside the quantized weights (seed noise, masks of windows) in fp16, equal rows once; in place.

    OpenVINO puts them together again while it loads.
    """
    import numpy as np
    from openvino import op, opset13

    for node in model.get_ops():
        if node.get_type_name() != "Constant" or node.get_element_type().to_string() != "f32":
            continue
        values = node.get_data()
        if values.size < LARGE:
            continue
        rows, place = np.unique(values, axis=0, return_inverse=True)
        repeats = len(rows) < len(values)
        small = op.Constant((rows if repeats else values).astype(np.float16))
        small.set_friendly_name(node.get_friendly_name())
        whole = opset13.convert(small, "f32")
        if repeats:
            index = op.Constant(place.astype(np.int32).reshape(-1))
            whole = opset13.gather(whole, index, op.Constant(np.array(0, np.int32)))
        for target in node.output(0).get_target_inputs():
            target.replace_source_output(whole.output(0))


def _share_constants(model: Any) -> None:
    """Equal constants once, in place: each is 200 bytes of the .xml, and ranges, axes and shapes recur."""
    first: dict[tuple[str, tuple[int, ...], bytes], Any] = {}
    for node in model.get_ops():
        if node.get_type_name() != "Constant":
            continue
        key = (node.get_element_type().to_string(), tuple(node.get_output_shape(0)), node.get_data().tobytes())
        kept = first.setdefault(key, node)
        for target in node.output(0).get_target_inputs() if kept is not node else ():
            target.replace_source_output(kept.output(0))


def _layer(node: Any) -> str | None:
    """The layer that a node computes; None for a product of two activations."""
    weight = _weight(node)
    return layer_of(weight.get_friendly_name()) if weight.get_type_name() == "Constant" else None


def _weight(node: Any) -> Any:
    """What a node multiplies by."""
    source = node.input_value(1).get_node()
    while source.get_type_name() in ("Convert", "Reshape", "Transpose"):
        source = source.input_value(0).get_node()
    return source


@contextlib.contextmanager
def _quiet() -> Any:
    """NNCF writes progress bars to stdout, which is for data."""
    import nncf

    nncf.set_log_level(logging.ERROR)
    with silenced():
        yield


CONVERTER = Converter(
    target="openvino",
    precisions=("w8", "w8a8"),
    requires=("torch", "openvino", "nncf"),
    suffix=".xml",
    tolerance=TOLERANCE,
    convert=_convert,
    tensor_names=exporter.CONVERTER.tensor_names,
)
