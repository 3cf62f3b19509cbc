"""ExecuTorch: a .pte file that XNNPACK computes.

The graph is rewritten in XNNPACK's own operations first (`xnnpack_ops.py`). A file is refused where less than 95 % of
the multiply-accumulates are delegated.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mimdit.errors import CheckFailedError
from mimdit.export.converter import Converter
from mimdit.files import write_file
from mimdit.manifest import ID_KEY
from mimdit.targets import Precision

if TYPE_CHECKING:
    from mimdit.export.delegation import Delegation
    from mimdit.export.graph import DeployableGraph

LEAST_DELEGATED = 0.95  # of the multiply-accumulates
DELEGATED_KEY = "mimdit.delegated"  # named data that says how much it is


def _convert(graphs: Sequence["DeployableGraph"], precision: Precision, folder: Path, bundle_id: str) -> None:
    import torch

    with _quiet():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        from mimdit.export.delegation import delegation
        from mimdit.export.xnnpack_ops import rewrite

        for graph in graphs:
            program = rewrite(torch.export.export(graph, graph.example_inputs()))
            edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
            seen = delegation(edge.exported_program(), 1e9 * graph.cost()[1])
            _refuse_below(LEAST_DELEGATED, seen, graph.name)
            for key, data in _notes(graph, edge._named_data_store.buffers, bundle_id, str(seen)):
                edge._named_data_store.add_named_data(key, data)
            write_file(folder / f"{graph.name}.pte", edge.to_executorch().buffer)


def _refuse_below(least: float, seen: "Delegation", name: str) -> None:
    if seen.share < least:
        raise CheckFailedError(f"{name}: {seen}, at least {least:.0%} was expected: rewrite what is left")


def _notes(
    graph: "DeployableGraph", weights: Sequence[bytes], bundle_id: str, delegated: str
) -> Iterator[tuple[str, bytes]]:
    """What the file says of itself, as named data. A delegate calls weights by their hash: theirs are added.

    A second name costs no second copy.
    """
    from mimdit.export.weight_names import WeightNames

    yield ID_KEY, bundle_id.encode()
    yield DELEGATED_KEY, delegated.encode()
    names = WeightNames(graph)
    for data in list(weights):
        if len(data) % 4 == 0 and (name := names.name(np.frombuffer(data, np.float32))):
            yield name, data


def _named_data(path: Path) -> dict[str, bytes]:
    with _quiet():
        from executorch.exir._serialize._program import deserialize_pte_binary

        named = deserialize_pte_binary(path.read_bytes()).named_data
    return {} if named is None else {key: named.buffers[entry.buffer_index] for key, entry in named.pte_data.items()}


def _tensor_names(path: Path) -> Iterable[str]:
    return _named_data(path).keys()


def _remark(path: Path) -> str:
    return _named_data(path)[DELEGATED_KEY].decode()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """ExecuTorch and torchao warn of what they could not load, and of every API that may change."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


CONVERTER = Converter(
    target="executorch",
    precisions=("fp32",),
    requires=("torch", "executorch"),
    suffix=".pte",
    tolerance={"fp32": 1e-4},
    convert=_convert,
    tensor_names=_tensor_names,
    remark=_remark,
)
