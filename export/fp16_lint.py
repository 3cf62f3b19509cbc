"""Which operations of a graph do not survive fp16, told from their values on calibration tiles before a file is made.

fp16 ends at 65,504, has 11 bits of precision, and below 3e-8 everything is zero. Three things follow, and are listed:

- values beyond 30,000, made or read: half of the range, because a photo may hold more than the calibration tiles did;
- a constant that fp16 rounds to zero, such as the 1e-12 that keeps a normalisation from dividing by nothing, and what
  reads the result;
- a sum, mean or norm over more than 2,048 numbers: where it is accumulated in fp16, adding one more changes nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, fx

from mimdit.export.tiles import parity_inputs

if TYPE_CHECKING:
    from mimdit.export.graph import DeployableGraph

LARGEST = 30_000.0
LONGEST_SUM = 2048

_SUMS = {"mean", "sum", "linalg_vector_norm", "layer_norm", "native_layer_norm", "var", "cumsum"}
# They hand on what they are given; what matters is who reads it from them.
_SHAPES = {"expand", "view", "reshape", "permute", "transpose", "unsqueeze", "squeeze", "clone", "slice", "getitem"}


@dataclass(frozen=True)
class Fragile:
    """One operation that has to stay in fp32. `node`: its name in the exported program after `run_decompositions`."""

    module: str  # as `named_modules` of the graph calls it; "" is the graph itself
    operation: str  # "exp", "clamp_min": the ATen operation without overload
    node: str
    reason: str


def lint(graph: "DeployableGraph") -> tuple[Fragile, ...]:
    """In the order of the program. Runs the graph once on every calibration tile: those that parity is measured on."""
    program = torch.export.export(graph, graph.example_inputs()).run_decompositions({})
    module = program.module(check_guards=False)
    recorder = _Recorder(module)
    for item in parity_inputs(graph.tile):
        with torch.no_grad():
            recorder.run(torch.from_numpy(item.image), torch.from_numpy(item.photo))
    reasons: dict[fx.Node, str] = {}
    for node in module.graph.nodes:
        if node.op == "call_function":
            for fragile, reason in _faults(node, recorder.largest):
                reasons.setdefault(fragile, reason)
    return tuple(
        Fragile(_module(node), operation_name(str(node.target)), node.name, reasons[node])
        for node in module.graph.nodes
        if node in reasons
    )


class _Recorder(fx.Interpreter):
    """Keeps the largest absolute value that each node ever had."""

    def __init__(self, module: fx.GraphModule):
        super().__init__(module)
        self.largest: dict[fx.Node, float] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor) and result.is_floating_point() and result.numel():
            self.largest[n] = max(self.largest.get(n, 0.0), float(result.abs().max()))
        return result


def _faults(node: fx.Node, largest: dict[fx.Node, float]) -> Iterator[tuple[fx.Node, str]]:
    """What is fragile because of one operation: itself, or what reads it."""
    if (made := largest.get(node, 0.0)) > LARGEST:
        yield node, f"values up to {made:,.0f}"
    elif (read := max((largest.get(source, 0.0) for source in node.all_input_nodes), default=0.0)) > LARGEST:
        yield node, f"reads values up to {read:,.0f}"
    if vanishing := [value for value in _numbers(node) if value and np.float16(value) == 0]:
        yield node, f"its constant {vanishing[0]:.0e} is zero in fp16"
        for reader in _readers(node):
            yield reader, f"reads {node.name}, which is above zero by {vanishing[0]:.0e} alone"
    if operation_name(str(node.target)) in _SUMS and (count := _summands(node)) > LONGEST_SUM:
        yield node, f"sums of {count:,} values"


def _numbers(node: fx.Node) -> list[float]:
    """Constants among the arguments, an epsilon inside a fused normalisation too."""
    return [value for value in (*node.args, *node.kwargs.values()) if isinstance(value, float)]


def _readers(node: fx.Node) -> Iterator[fx.Node]:
    for user in node.users:
        if user.op == "call_function":
            yield user
            if operation_name(str(user.target)) in _SHAPES:
                yield from _readers(user)


def _summands(node: fx.Node) -> int:
    """How many numbers go into each result; of a normalisation, how many are normalised together."""
    source = node.args[0]
    assert isinstance(source, fx.Node)
    shape = source.meta["val"].shape
    if "layer_norm" in str(node.target):
        return prod(map(int, node.args[1]))  # pyright: ignore
    result = node.meta["val"].shape
    return prod(shape) // max(prod(result), 1)


def _module(node: fx.Node) -> str:
    stack = node.meta.get("nn_module_stack") or {}
    return list(stack.values())[-1][0] if stack else ""


def operation_name(target: str) -> str:
    """ "aten.exp.default" → "exp"."""
    parts = target.split(".")
    return parts[1] if parts[0] == "aten" else parts[0]
