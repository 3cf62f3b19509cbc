"""Core ML: activations by torchao's PT2E before the program is converted, weights by coremltools' optimizer meanwhile.

coremltools can see activations only where Core ML runs, on a Mac.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimdit.export import coreml as exporter
from mimdit.export.converter import Converter
from mimdit.quantize.recipe import LARGE, TOLERANCE, Recipe
from mimdit.targets import Precision

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from mimdit.export.graph import DeployableGraph
    from mimdit.quantize.calibration import CalibrationSet

_PALETTE_BITS = 6


def _convert(
    release: str,
    graphs: Sequence["DeployableGraph"],
    precision: Precision,
    folder: Path,
    bundle_id: str,
    recipe: Recipe | None = None,
) -> None:
    recipe = recipe or Recipe()
    with exporter.quiet():
        import torch

        for graph in graphs:
            program = torch.export.export(graph, graph.example_inputs())
            passes = _small_weights(program, precision, recipe.kept_weights(graph, precision))
            if precision == "w8a8":
                kept = recipe.kept(graph, precision)
                program = _with_small_activations(program, kept, recipe.calibration(graph.tile))
            exporter.write(exporter.converted(program, release, passes=passes), graph, folder, bundle_id)


def _small_weights(program: "ExportedProgram", precision: Precision, floating: frozenset[str]) -> Any:
    """coremltools' passes, and one for the weights, but for the layers in `floating`.

    8 bits with a scale a channel, or at p6 numbers of 6 bits into a palette of 64 values, found by k-means.
    """
    from coremltools import PassPipeline
    from coremltools.optimize.coreml import OpLinearQuantizerConfig, OpPalettizerConfig, OptimizationConfig

    from mimdit.quantize.pt2e import layers_in

    layers = layers_in(program.module(check_guards=False), floating).values()
    if precision == "p6":
        name, each = "compression::palettize_weights", OpPalettizerConfig(nbits=_PALETTE_BITS, weight_threshold=0)
    else:
        name = "compression::linear_quantize_weights"
        each = OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=0)
    passes = PassPipeline()
    # What is larger stays made of smaller constants: the masks of windows, 1 MB a layer of `denoise`, are a sum.
    passes.set_options("common::const_elimination", {"skip_const_by_size": str(LARGE)})
    passes.append_pass(name)
    config = OptimizationConfig(op_name_configs={_constant(layer): each for layer in layers})  # pyright: ignore
    passes.set_options(name, {"config": config})  # pyright: ignore
    return passes


def _constant(layer: str) -> str:
    """What coremltools calls a layer's weight."""
    return f"p_model.{layer}.weight".replace(".", "_")


def _with_small_activations(
    program: "ExportedProgram", floating: frozenset[str], tiles: "CalibrationSet"
) -> "ExportedProgram":
    """What layers read and give, but for those in `floating`, goes through 8 bits."""
    import torch

    from mimdit.quantize.pt2e import LayerQuantizer, layers_in, quantized, tensors

    assert program.example_inputs is not None
    module = program.module(check_guards=False)
    quantizer = LayerQuantizer(weights=(), activations=layers_in(module, floating))
    module = quantized(module, quantizer, tensors(tiles))
    return torch.export.export(module, program.example_inputs[0])


_PLATFORMS = {"ios16": partial(_convert, "iOS16"), "ios18": partial(_convert, "iOS18")}

_SMALL_WEIGHTS = Converter(
    target="coreml",
    precisions=("w8", "p6"),
    requires=("torch", "coremltools"),
    suffix=".mlpackage",
    tolerance=TOLERANCE,
    convert=_PLATFORMS["ios16"],
    tensor_names=exporter.CONVERTER.tensor_names,
    platform="ios16",
    platforms=_PLATFORMS,
)
# Activations of 8 bits came after iOS 16.
_W8A8 = replace(
    _SMALL_WEIGHTS,
    precisions=("w8a8",),
    requires=(*_SMALL_WEIGHTS.requires, "torchao"),
    convert=_PLATFORMS["ios18"],
    platform="ios18",
    platforms={"ios18": _PLATFORMS["ios18"]},
)
CONVERTERS = (_SMALL_WEIGHTS, _W8A8)
