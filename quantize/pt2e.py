"""8-bit layers in an exported program, through torchao's PT2E, for targets whose converters take such a program.

A layer reads its weight through a dequantize operation; it reads its input and gives its output through a pair of
quantize and dequantize. Converters turn these into their own operations.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e import MinMaxObserver, PerChannelMinMaxObserver
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import QuantizationAnnotation, QuantizationSpec, Quantizer
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY

from mimdit.quantize.recipe import LARGE, layer_of
from mimdit.quantize.weights import LARGEST

if TYPE_CHECKING:
    from mimdit.quantize.calibration import CalibrationSet

LAYERS = (torch.ops.aten.conv2d.default, torch.ops.aten.linear.default)

WEIGHTS = QuantizationSpec(
    dtype=torch.int8,
    quant_min=-LARGEST,
    quant_max=LARGEST,
    qscheme=torch.per_channel_symmetric,
    ch_axis=0,
    observer_or_fake_quant_ctr=PerChannelMinMaxObserver,
)
# The extremes over all tiles, as in quantize/onnx.py.
ACTIVATIONS = QuantizationSpec(
    dtype=torch.int8,
    quant_min=-128,
    quant_max=127,
    qscheme=torch.per_tensor_affine,
    observer_or_fake_quant_ctr=MinMaxObserver,
)


class LayerQuantizer(Quantizer):
    """Layers and nothing else."""

    def __init__(self, weights: Collection[str], activations: Collection[str]):
        """Names of nodes: those whose weights have 8 bits, and those that read and give 8 bits."""
        self._weights, self._activations = weights, activations

    def annotate(self, model: GraphModule) -> GraphModule:
        for node in model.graph.nodes:
            if node.name in self._weights or node.name in self._activations:
                source, weight = node.args[:2]
                activations = ACTIVATIONS if node.name in self._activations else None
                weights = WEIGHTS if node.name in self._weights else None
                node.meta[Q_ANNOTATION_KEY] = QuantizationAnnotation(
                    input_qspec_map={source: activations, weight: weights}, output_qspec=activations, _annotated=True
                )
        return model

    def validate(self, model: GraphModule) -> None:
        pass


def layers_in(module: GraphModule, floating: frozenset[str]) -> dict[str, str]:
    """Names of nodes → the layers that they compute, but for those in `floating`."""
    found = {node.name: _layer(node) for node in module.graph.nodes if node.target in LAYERS}
    return {name: layer for name, layer in found.items() if layer is not None and layer not in floating}


def _layer(node: Node) -> str | None:
    """None where the weight is none of the network's: the mean over channels as a convolution, say."""
    weight = node.args[1]
    return layer_of(str(weight.target)) if isinstance(weight, Node) else None


def quantized(module: GraphModule, quantizer: Quantizer, inputs: Iterable[tuple[Tensor, Tensor]]) -> GraphModule:
    """A module as `ExportedProgram.module` gives it, with what the quantizer chooses in 8 bits.

    `inputs` (image, photo): what activations are seen on. Weights are seen in a run, too: one at least is needed.
    """
    prepared = prepare_pt2e(module, quantizer)
    with torch.no_grad():
        for image, photo in inputs:
            prepared(image, photo)
    return convert_pt2e(prepared)


def tensors(tiles: "CalibrationSet") -> Iterator[tuple[Tensor, Tensor]]:
    """One tile at a time: image f32[1,3,T,T], photo f32[1,3,64,64]."""
    return ((torch.from_numpy(tile.image), torch.from_numpy(tile.photo)) for tile in tiles.tiles)


def name_weights(module: GraphModule, layers: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Call the i8 weights of a quantized module after their layers, which torchao numbers; gives them by name.

    `layers`: as `layers_in` gave them before. The module's names have no dots: `codec_encoder_stem_weight`.
    """
    weights: dict[str, np.ndarray] = {}
    for node in module.graph.nodes:
        if node.name in layers:
            name, constant = f"{layers[node.name]}.weight", node.args[1].args[0]
            values = getattr(module, constant.target)
            delattr(module, constant.target)
            constant.target = name.replace(".", "_")
            module.register_buffer(constant.target, values)
            weights[name] = values.numpy()
    module.recompile()
    return weights


def shrink(module: GraphModule) -> None:
    """Large constants beside weights (seed noise, masks of windows) in fp16, equal rows once; in place.

    At every run they are put together again: 0.4 million numbers.
    """
    reads_weights = (*LAYERS, torch.ops.aten.convolution.default)
    for node in module.graph.find_nodes(op="get_attr"):
        values = getattr(module, node.target, None)  # None: a weight, which lies in a module below
        if values is None or values.dtype != torch.float32 or values.numel() < LARGE:
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
