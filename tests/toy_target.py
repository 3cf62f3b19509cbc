"""A target in one file: PyTorch's own archive, run by PyTorch. What an eighth target would look like.

The names of targets are a closed vocabulary (`mimdit/targets.py`), so the toy goes by one of them.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from mimdit.export.converter import Converter
from mimdit.export.graph import DeployableGraph
from mimdit.runtimes.base import Runtime, RuntimeSpec
from mimdit.targets import Precision


def _convert(graphs: Sequence[DeployableGraph], precision: Precision, folder: Path, bundle_id: str) -> None:
    for graph in graphs:
        torch.export.save(torch.export.export(graph, graph.example_inputs()), folder / f"{graph.name}.pt2")


def _tensor_names(path: Path) -> Iterable[str]:
    return torch.export.load(path).state_dict.keys()


class _ToyRuntime(Runtime):
    def __init__(self, path: Path, tile: int, threads: int | None = None):
        super().__init__("toy", "cpu", tile)
        self._module = torch.export.load(path).module()

    def _run(self, image: np.ndarray, photo: np.ndarray) -> np.ndarray:
        return self._module(torch.from_numpy(image), torch.from_numpy(photo)).numpy()


CONVERTER = Converter(
    target="coreai",
    precisions=("fp32",),
    requires=("torch",),
    suffix=".pt2",
    tolerance={"fp32": 1e-4},
    convert=_convert,
    tensor_names=_tensor_names,
)

RUNTIME = RuntimeSpec(target="coreai", requires=("torch",), open=_ToyRuntime)
