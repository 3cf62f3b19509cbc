"""OpenVINO: from the ExportedProgram to .xml and .bin."""

import os
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimdit.export.converter import Converter
from mimdit.manifest import ID_KEY
from mimdit.runtimes.openvino import PRECISION_KEY
from mimdit.targets import Precision

if TYPE_CHECKING:
    from mimdit.export.graph import DeployableGraph


def _convert(graphs: Sequence["DeployableGraph"], precision: Precision, folder: Path, bundle_id: str) -> None:
    import openvino
    import torch

    for graph in graphs:
        image, photo = graph.example_inputs()
        program = torch.export.export(graph, (image, photo))
        shapes = [
            (name, openvino.PartialShape(list(tensor.shape))) for name, tensor in (("image", image), ("photo", photo))
        ]
        with _unreported():
            model = openvino.convert_model(program, input=shapes)
        model.output(0).get_tensor().set_names({"restored"})
        _name_weights(model, graph)
        model.set_rt_info(bundle_id, ID_KEY.split("."))
        model.set_rt_info(precision, PRECISION_KEY.split("."))
        # bf16 is what the CPU computes in; 16 bits of the weights are enough for it, and fp16 is what files have.
        openvino.save_model(model, folder / f"{graph.name}.xml", compress_to_fp16=precision != "fp32")


@contextmanager
def _unreported() -> Iterator[None]:
    """OpenVINO's converter tells its makers of every call, unless it finds itself in CI."""
    before = os.environ.get("CI")
    os.environ["CI"] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ["CI"]
        else:
            os.environ["CI"] = before


def _name_weights(model: Any, graph: "DeployableGraph") -> None:
    """Call the constants what the network calls them: the converter numbers them."""
    from mimdit.export.weight_names import WeightNames

    names = WeightNames(graph)
    for node in model.get_ops():
        if node.get_type_name() == "Constant" and node.get_element_type().is_real():
            name = names.name(node.get_data())
            if name is not None:
                node.set_friendly_name(name)


def _tensor_names(path: Path) -> Iterable[str]:
    return [layer.get("name", "") for layer in ET.parse(path).iterfind("layers/layer[@type='Const']")]


CONVERTER = Converter(
    target="openvino",
    precisions=("fp32", "fp16", "bf16"),
    requires=("torch", "openvino"),
    suffix=".xml",
    tolerance={"fp32": 1e-4, "fp16": 3 / 255, "bf16": 8 / 255},
    convert=_convert,
    tensor_names=_tensor_names,
)
