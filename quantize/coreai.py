"""Core AI: torchao's PT2E, its operations written in those of coreai-torch, as Apple's coreai-opt does it. Beta."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mimdit.export import coreai as exporter
from mimdit.export.converter import Converter
from mimdit.quantize.recipe import TOLERANCE, Recipe
from mimdit.targets import Precision

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import GraphModule, Node

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

        from mimdit.quantize import pt2e

        for graph in graphs:
            inputs = graph.example_inputs()
            module = torch.export.export(graph, inputs).module(check_guards=False)
            layers = pt2e.layers_in(module, recipe.kept_weights(graph, precision))
            if precision == "w8a8":
                quantizer = pt2e.LayerQuantizer(layers, pt2e.layers_in(module, recipe.kept(graph, precision)))
                module = pt2e.quantized(module, quantizer, pt2e.tensors(recipe.calibration(graph.tile)))
            else:
                module = pt2e.quantized(module, pt2e.LayerQuantizer(layers, ()), [inputs])
            small = pt2e.name_weights(module, layers)
            _translate(module)
            pt2e.shrink(module)
            weights = {**exporter.weights_of(graph, np.float32), **small}
            program = torch.export.export(module, inputs)
            exporter.write(program, weights, folder / f"{graph.name}.aimodel", bundle_id)


def _translate(module: "GraphModule") -> None:
    """torchao's operations into those that coreai-torch converts, in place."""
    import coreai_torch._compression.custom_layers  # noqa: F401  registers them
    import torch

    ours, theirs = torch.ops.quantized_decomposed, torch.ops.coreai

    def constant(before: "Node", values: "Tensor") -> "Node":
        name = f"number_{len(module.graph.nodes)}"
        module.register_buffer(name, values)
        with module.graph.inserting_before(before):
            return module.graph.get_attr(name)

    def numbers(node: "Node") -> "tuple[Node, Node]":
        """Scale and zero point of a pair."""
        _, scale, zero, *_ = node.args
        return constant(node, torch.tensor(scale)), constant(node, torch.tensor(zero, dtype=torch.int8))

    for node in list(module.graph.nodes):
        if node.target is ours.dequantize_per_channel.default:
            weight, scales, *_ = node.args
            axes = getattr(module, weight.target).dim()
            scale = getattr(module, scales.target).float().reshape(-1, *[1] * (axes - 1))
            node.target = theirs.constexpr_blockwise_shift_scale.default
            node.args = (weight, constant(node, scale), None, None, torch.int8)
        elif node.target is ours.quantize_per_tensor.default:
            scale, zero = numbers(node)
            node.target, node.args = theirs.quantize.default, (node.args[0], scale, torch.int8, zero)
        elif node.target is ours.dequantize_per_tensor.default:
            node.target, node.args = theirs.dequantize.default, (node.args[0], *numbers(node))
    module.graph.eliminate_dead_code()
    module.recompile()


CONVERTER = Converter(
    target="coreai",
    precisions=("w8", "w8a8"),
    requires=("torch", "coreai_torch", "torchao"),
    suffix=".aimodel",
    tolerance=TOLERANCE,
    convert=_convert,
    tensor_names=exporter.CONVERTER.tensor_names,
    beta=True,
)
