"""ExecuTorch: torchao's PT2E with XNNPACK's quantizer, on the graph as it is rewritten for XNNPACK.

Layers take and give 8-bit numbers, which XNNPACK asks for. There is no w8: where weights have 8 bits, XNNPACK's
delegate takes only layers whose activations have 8 bits too, and leaves the others to the portable kernels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mimdit.export import executorch as exporter
from mimdit.export.converter import Converter
from mimdit.quantize.recipe import TOLERANCE, Recipe
from mimdit.targets import Precision

if TYPE_CHECKING:
    from mimdit.export.graph import DeployableGraph


def _convert(
    graphs: Sequence["DeployableGraph"],
    precision: Precision,
    folder: Path,
    bundle_id: str,
    recipe: Recipe | None = None,
) -> None:
    recipe = recipe or Recipe()
    with exporter.quiet():
        import torch
        from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer
        from torchao.quantization.pt2e.quantizer import QuantizationConfig

        from mimdit.export.executorch_delegates import lowered_to_xnnpack
        from mimdit.export.xnnpack_ops import rewrite
        from mimdit.quantize import pt2e

        config = QuantizationConfig(pt2e.ACTIVATIONS, pt2e.ACTIVATIONS, pt2e.WEIGHTS, None)
        for graph in graphs:
            inputs = graph.example_inputs()
            module = rewrite(torch.export.export(graph, inputs)).module(check_guards=False)
            layers = pt2e.layers_in(module, recipe.kept(graph, precision))
            quantizer = XNNPACKQuantizer().set_filter_function(
                lambda node, layers=layers: node.target not in pt2e.LAYERS or node.name in layers
            )
            for operation in pt2e.LAYERS:
                quantizer.set_operator_type(operation, config)  # pyright: ignore[reportArgumentType]
            module = pt2e.quantized(module, quantizer, pt2e.tensors(recipe.calibration(graph.tile)))
            weights = pt2e.name_weights(module, layers)
            pt2e.shrink(module)
            edge = lowered_to_xnnpack(torch.export.export(module, inputs))
            exporter.write_lowered(edge, graph, folder, bundle_id, weights)


CONVERTER = Converter(
    target="executorch",
    precisions=("w8a8",),
    requires=("torch", "executorch", "torchao"),
    suffix=".pte",
    tolerance=TOLERANCE,
    convert=_convert,
    tensor_names=exporter.CONVERTER.tensor_names,
    platform="xnnpack",
    platforms={"xnnpack": _convert},
    remark=exporter.CONVERTER.remark,
)
