"""ExecuTorch: a .pte file that a delegate computes, XNNPACK unless another is named (`executorch_delegates.py`).

A file is refused where less than 95 % of the multiply-accumulates are delegated.
"""

import contextlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from mimdit.errors import CheckFailedError
from mimdit.export import coreml
from mimdit.export.converter import Converter
from mimdit.export.executorch_delegates import DELEGATES
from mimdit.files import write_file
from mimdit.manifest import ID_KEY
from mimdit.silence import unwarned
from mimdit.targets import Precision

if TYPE_CHECKING:
    from mimdit.export.delegation import Delegation
    from mimdit.export.graph import DeployableGraph

LEAST_DELEGATED = 0.95  # of the multiply-accumulates
DELEGATED_KEY = "mimdit.delegated"  # named data that says how much it is
_NONE: Mapping[str, np.ndarray] = MappingProxyType({})


def _convert(
    delegate: str, graphs: Sequence["DeployableGraph"], precision: Precision, folder: Path, bundle_id: str
) -> None:
    with quiet():
        for graph in graphs:
            write_lowered(DELEGATES[delegate](graph, precision), graph, folder, bundle_id)


def write_lowered(
    edge: Any, graph: "DeployableGraph", folder: Path, bundle_id: str, small: Mapping[str, np.ndarray] = _NONE
) -> None:
    """Write a lowered program as `graph.name`.pte, with what it says of itself. `small`: its i8 weights by name.

    Raises CheckFailedError where too little of it is delegated.
    """
    from mimdit.export.delegation import delegation

    seen = delegation(edge.exported_program(), 1e9 * graph.cost()[1])
    _refuse_below(LEAST_DELEGATED, seen, graph.name)
    for key, data in _notes(graph, edge._named_data_store.buffers, bundle_id, str(seen), small):
        edge._named_data_store.add_named_data(key, data)
    write_file(folder / f"{graph.name}.pte", edge.to_executorch().buffer)


def _refuse_below(least: float, seen: "Delegation", name: str) -> None:
    if seen.share < least:
        raise CheckFailedError(f"{name}: {seen}, at least {least:.0%} was expected: rewrite what is left")


def _notes(
    graph: "DeployableGraph",
    weights: Sequence[bytes],
    bundle_id: str,
    delegated: str,
    small: Mapping[str, np.ndarray],
) -> Iterator[tuple[str, bytes]]:
    """What the file says of itself, as named data. A delegate calls weights by their hash: theirs are added.

    A second name costs no second copy.
    """
    from mimdit.export.weight_names import WeightNames

    yield ID_KEY, bundle_id.encode()
    yield DELEGATED_KEY, delegated.encode()
    names = WeightNames(graph)
    small_names = {np.sort(values, axis=None).tobytes(): name for name, values in small.items()}
    for data in list(weights):
        if name := small_names.get(np.sort(np.frombuffer(data, np.int8)).tobytes()):
            yield name, data
        for number in (np.float32, np.float16):  # an fp16 program holds some of its weights in fp32
            if len(data) % np.dtype(number).itemsize == 0 and (name := names.name(np.frombuffer(data, number))):
                yield name, data


def _named_data(path: Path) -> dict[str, bytes]:
    with quiet():
        from executorch.exir._serialize._program import deserialize_pte_binary

        named = deserialize_pte_binary(path.read_bytes()).named_data
    return {} if named is None else {key: named.buffers[entry.buffer_index] for key, entry in named.pte_data.items()}


def _tensor_names(path: Path) -> Iterable[str]:
    """Of weights by their named data; a Core ML model inside has names of its own."""
    return [*_named_data(path).keys(), *coreml.experts_named_in(path.read_bytes())]


def _remark(path: Path) -> str:
    return _named_data(path)[DELEGATED_KEY].decode()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """ExecuTorch and torchao warn of what they could not load, and of every API that may change."""
    with unwarned(), contextlib.redirect_stderr(io.StringIO()):
        yield


_PLATFORMS = {name: partial(_convert, name) for name in DELEGATES}

CONVERTER = Converter(
    target="executorch",
    precisions=("fp32", "fp16"),
    requires=("torch", "executorch"),
    suffix=".pte",
    tolerance={"fp32": 1e-4, "fp16": 3 / 255},
    convert=_PLATFORMS["xnnpack"],
    tensor_names=_tensor_names,
    half_arithmetic=True,
    all_half=frozenset({"coreml", "qnn"}),
    platform="xnnpack",
    platforms=_PLATFORMS,
    remark=_remark,
)
