"""Core AI, Apple's successor to Core ML: an .aimodel folder from the ExportedProgram. Beta, as its packages are."""

import contextlib
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mimdit.export.converter import Converter
from mimdit.manifest import ID_KEY
from mimdit.silence import silenced, unwarned
from mimdit.targets import Precision

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from mimdit.export.graph import DeployableGraph

WEIGHTS_KEY = "mimdit.weights"  # custom metadata: name → place and SHA-256 of a weight in the program
_PROGRAM = "main.mlirb"
_METADATA = "metadata.json"


def _convert(graphs: Sequence["DeployableGraph"], precision: Precision, folder: Path, bundle_id: str) -> None:
    import torch

    with quiet():
        from mimdit.export.half import half_program

        number = np.float16 if precision == "fp16" else np.float32
        for graph in graphs:
            exported = (
                torch.export.export(graph, graph.example_inputs()) if precision == "fp32" else half_program(graph)
            )
            write(exported, weights_of(graph, number), folder / f"{graph.name}.aimodel", bundle_id)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Its packages warn of what they could not load, and print. They are imported in here, in the order they want."""
    with unwarned(), silenced():
        import coreai.authoring  # noqa: F401

        yield


def weights_of(graph: "DeployableGraph", number: type[np.generic]) -> dict[str, np.ndarray]:
    """The network's weights by name, in a type of numbers."""
    return {name: tensor.detach().numpy().astype(number) for name, tensor in graph.model.state_dict().items()}


def write(exported: "ExportedProgram", weights: Mapping[str, np.ndarray], path: Path, bundle_id: str) -> None:
    """A program (image, photo → restored) as an .aimodel that says where in it those of the weights lie that it has."""
    import coreai_torch
    from coreai.runtime import AIModelAssetMetadata

    program = exported.run_decompositions(coreai_torch.get_decomp_table())
    # The other mode writes stack traces into the file, and with them paths of this machine.
    converter = coreai_torch.TorchConverter(mode=coreai_torch.TorchConverter.Mode.RELEASE)
    converter.add_exported_program(program, input_names=["image", "photo"], output_names=["restored"])
    metadata = AIModelAssetMetadata()
    metadata.set_custom(ID_KEY, bundle_id)
    asset = converter.to_coreai().save_asset(path, metadata)
    places = _places(weights, (path / _PROGRAM).read_bytes())
    asset.update_metadata(lambda metadata: metadata.set_custom(WEIGHTS_KEY, places))


def _places(weights: Mapping[str, np.ndarray], program: bytes) -> dict[str, Any]:
    """Where in the program each weight lies: it has no names itself. Constants are left out, they prove nothing."""
    found: dict[str, Any] = {}
    for name, values in weights.items():
        values = values.squeeze()
        if values.size < 8 or values.min() == values.max():
            continue
        offsets = ((program.find(data), data) for data in _layouts(values))
        if place := next((place for place in offsets if place[0] >= 0), None):
            offset, data = place
            found[name] = {"offset": offset, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return found


def _layouts(values: np.ndarray) -> Iterator[bytes]:
    """The bytes in every order of the axes, the own first."""
    return (values.transpose(order).tobytes() for order in itertools.permutations(range(values.ndim)))


def _tensor_names(path: Path) -> Iterable[str]:
    """Those of which the very bytes lie in the program."""
    program = (path / _PROGRAM).read_bytes()
    places = json.loads((path / _METADATA).read_text())["creatorDefinedMetadata"][WEIGHTS_KEY]
    return [
        name
        for name, place in places.items()
        if hashlib.sha256(program[place["offset"] :][: place["bytes"]]).hexdigest() == place["sha256"]
    ]


CONVERTER = Converter(
    target="coreai",
    precisions=("fp32", "fp16"),
    requires=("torch", "coreai_torch"),
    suffix=".aimodel",
    tolerance={"fp32": 1e-4, "fp16": 3 / 255},
    convert=_convert,
    tensor_names=_tensor_names,
    half_arithmetic=True,
    beta=True,
)
