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
    from torch.fx import GraphModule

    from mimdit.export.graph import DeployableGraph

_LARGE = 4096  # elements


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
            _shrink(module)
            edge = lowered_to_xnnpack(torch.export.export(module, inputs))
            exporter.write_lowered(edge, graph, folder, bundle_id, weights)


def _shrink(module: "GraphModule") -> None:
    """Large constants beside weights (seed noise, masks of windows) in fp16, equal rows once; in place.

    At every run the portable kernels put them together again: 0.4 million numbers.
    """
    import torch

    from mimdit.quantize.pt2e import LAYERS

    reads_weights = (*LAYERS, torch.ops.aten.convolution.default)
    for node in module.graph.find_nodes(op="get_attr"):
        values = getattr(module, node.target, None)  # None: a weight, which lies in a module below
        if values is None or values.dtype != torch.float32 or values.numel() < _LARGE:
            continue
        readers = list(node.users)
        if any(reader.target in reads_weights and reader.args[1] is node for reader in readers):
            continue
        rows, place = torch.unique(values, dim=0, return_inverse=True)
        repeats = len(rows) < len(values)
        setattr(module, node.target, (rows if repeats else values).half().contiguous())
        with module.graph.inserting_after(node):
            whole = module.graph.call_function(torch.ops.aten.to.dtype, (node, torch.float32))
        if repeats:
            module.register_buffer(f"{node.target}_rows", place)
            with module.graph.inserting_after(whole):
                index = module.graph.get_attr(f"{node.target}_rows")
            with module.graph.inserting_after(index):
                whole = module.graph.call_function(torch.ops.aten.index_select.default, (whole, 0, index))
        for reader in readers:
            reader.replace_input_with(node, whole)
    module.recompile()


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
