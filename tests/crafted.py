"""A small but real bundle: two variants that multiply the photo by a gain stored once, built without torch."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mimdit.bundle_checks import hash_file
from mimdit.manifest import AccuracyRow, Manifest, ModelEntry, Parity, bundle_id
from mimdit.routing.plan import BlockPlan, ExpertPlan, RoutingPlan
from mimdit.targets import Variant

CRAFTED_TILE = 16
GAIN_NAME = "branch.blocks.0.experts.spatial_0.gain"  # so that the plan's only sub-expert is inside
GAIN = np.array([1.0, 0.5, 0.25], np.float32).reshape(1, 3, 1, 1)


def crafted_plan(variant: Variant) -> RoutingPlan:
    expert = ExpertPlan(group="spatial", expert=0, weight=1.0)
    block = BlockPlan(experts=(expert,), mass_kept=1.0, entropy=0.0, agreement=1.0)
    return RoutingPlan(variant=variant, photos=1, blocks=(block,))


def crafted_model(tile: int = CRAFTED_TILE, *, location: str = "weights.bin", offset: int = 0) -> onnx.ModelProto:
    """restored = clip(image × gain): the gain lies in another file, the limits of the clip inline."""
    gain = TensorProto(name=GAIN_NAME, data_type=TensorProto.FLOAT, dims=GAIN.shape, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(GAIN.nbytes))):
        gain.external_data.add(key=key, value=value)
    limits = [numpy_helper.from_array(np.array(value, np.float32), name) for value, name in ((0, "zero"), (1, "one"))]
    nodes = [
        helper.make_node("Mul", ["image", GAIN_NAME], ["x"]),
        helper.make_node("Clip", ["x", "zero", "one"], ["restored"]),
    ]

    def value_info(name: str, side: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, side, side])

    graph = helper.make_graph(
        nodes,
        "crafted",
        [value_info("image", tile), value_info("photo", 64)],
        [value_info("restored", tile)],
        [gain, *limits],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def crafted_manifest(variants: tuple[Variant, ...] = ("denoise", "deblur")) -> Manifest:
    models = tuple(
        ModelEntry(
            variant=variant,
            steps=1,
            tile=CRAFTED_TILE,
            file=f"{variant}-{CRAFTED_TILE}.onnx",
            plan=crafted_plan(variant),
            parity=Parity(status="passed", max_error=1e-6, mean_error=1e-7, psnr=120.0, tolerance=1e-4),
            parameters=3,
            gmac=0.0,
        )
        for variant in variants
    )
    inputs = {"checkpoint": "ab" * 32, "target": "onnx", "precision": "fp32", "built_with": {"onnx": onnx.__version__}}
    return Manifest(
        id=bundle_id(**inputs, plans=[model.plan for model in models], tiles=[CRAFTED_TILE]),
        name="crafted",
        tile_overlap=4,
        models=models,
        accuracy=(
            AccuracyRow(variant="denoise", degradation="noise", dataset="none", images=1, input_psnr=20, psnr=25.5),
        ),
        command="mimdit build --variant denoise,deblur",
        **inputs,
    )


def crafted_files(folder: Path) -> None:
    (folder / "weights.bin").write_bytes(GAIN.tobytes())
    for variant in ("denoise", "deblur"):
        onnx.save(crafted_model(), folder / f"{variant}-{CRAFTED_TILE}.onnx")


def edit_manifest(folder: Path, change: Callable[[dict], object]) -> None:
    """Change a bundle's manifest.json in place, as an attacker may."""
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def reseal(folder: Path) -> None:
    """List whatever lies in the folder with its true sizes and hashes: what remains to be judged is the content."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"]
    files = [
        {"path": path.relative_to(folder).as_posix(), "sha256": hash_file(path), "bytes": path.stat().st_size}
        for path in paths
    ]
    edit_manifest(folder, lambda content: content.update(files=files))
