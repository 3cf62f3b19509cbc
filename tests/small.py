"""A bundle that the tiler can run: variants multiply their tile by a gain, the dispatcher goes by the colour."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from mimdit.manifest import DispatcherEntry, Manifest, ModelEntry, Parity, bundle_id
from mimdit.targets import DISPATCHER_CLASSES, Variant

from .crafted import crafted_plan

SMALL_TILE = 64
THRESHOLD = 0.5


def small_manifest(
    variants: tuple[Variant, ...] = ("denoise", "deblur", "general"),
    dispatcher: bool = True,
    tiles: tuple[int, ...] = (SMALL_TILE,),
) -> Manifest:
    models = tuple(
        ModelEntry(
            variant=variant,
            steps=1,
            tile=tile,
            file=f"{variant}-{tile}.onnx",
            plan=crafted_plan(variant),
            parity=Parity(status="not measured", reason="nothing was trained"),
            parameters=0,
            gmac=0.0,
        )
        for variant in variants
        for tile in tiles
    )
    inputs = {"checkpoint": "cd" * 32, "target": "onnx", "precision": "fp32", "built_with": {"onnx": onnx.__version__}}
    entry = DispatcherEntry(file="dispatcher.onnx", classes=DISPATCHER_CLASSES, threshold=THRESHOLD, crop=64, crops=16)
    return Manifest(
        id=bundle_id(**inputs, plans=[model.plan for model in models], tiles=tiles),
        name="small",
        tile_overlap=16,
        models=models,
        dispatcher=entry if dispatcher else None,
        command="none",
        **inputs,
    )


def fill_small(manifest: Manifest, folder: Path, gain: float = 1) -> None:
    for model in manifest.models:
        onnx.save(_times(gain, model.tile), folder / model.file)
    if manifest.dispatcher is not None:
        onnx.save(_colour_dispatcher(), folder / manifest.dispatcher.file)


def _times(gain: float, side: int) -> onnx.ModelProto:
    tile = [1, 3, side, side]
    nodes = [helper.make_node("Mul", ["image", "gain"], ["restored"])]
    constants = [helper.make_tensor("gain", TensorProto.FLOAT, [], [gain])]
    return _model(nodes, {"image": tile, "photo": [1, 3, 64, 64]}, ("restored", tile), constants)


def _colour_dispatcher() -> onnx.ModelProto:
    """Mean red is the score of denoise, green of deblur, blue of dehaze; the others get 0."""
    nodes = [
        helper.make_node("ReduceMean", ["photo", "sides"], ["mean"], keepdims=0),
        helper.make_node("Pad", ["mean", "pads"], ["scores"]),
    ]
    constants = [
        helper.make_tensor("sides", TensorProto.INT64, [2], [2, 3]),
        helper.make_tensor("pads", TensorProto.INT64, [4], [0, 0, 0, 3]),
    ]
    return _model(nodes, {"photo": [1, 3, 64, 64], "crops": [16, 3, 64, 64]}, ("scores", [1, 6]), constants)


def _model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int]],
    output: tuple[str, list[int]],
    constants: list[onnx.TensorProto] | None = None,
) -> onnx.ModelProto:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    result = helper.make_tensor_value_info(output[0], TensorProto.FLOAT, output[1])
    graph = helper.make_graph(nodes, "small", values, [result], constants or [])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
