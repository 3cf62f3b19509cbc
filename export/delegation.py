"""How much of a lowered ExecuTorch program its delegate computes, and what is left to the portable kernels."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node


@dataclass(frozen=True)
class Delegation:
    """share: of the multiply-accumulates, 0..1. pieces: delegates. portable: operations outside them, with counts."""

    share: float
    pieces: int
    portable: Counter[str]

    def __str__(self) -> str:
        left = ", ".join(f"{name} ×{count}" for name, count in self.portable.most_common(8)) or "nothing"
        return f"{self.share:.1%} of the arithmetic delegated, in {self.pieces} pieces; {left} left to portable kernels"


def delegation(lowered: "ExportedProgram", macs: float) -> Delegation:
    """Of a program after lowering; `macs`: multiply-accumulates of the graph that it was made from."""
    from executorch.exir.delegate import executorch_call_delegate

    calls = [node for node in lowered.graph.nodes if node.op == "call_function"]
    pieces = sum(node.target is executorch_call_delegate for node in calls)
    outside = [node for node in calls if hasattr(node.target, "_schema")]  # neither a delegate nor a tuple's item
    return Delegation(
        share=1 - sum(map(_macs, outside)) / macs,
        pieces=pieces,
        portable=Counter(_name(node) for node in outside),
    )


def _name(node: "Node") -> str:
    return str(node.target._schema.name).split("::")[-1]  # pyright: ignore  every operator has one


def _macs(node: "Node") -> int:
    """Of a convolution or matrix product; everything else counts nothing, as in `DeployableGraph.cost`."""
    name = _name(node)
    if name == "convolution":
        transposed = bool(node.args[6])
        per_place = math.prod(_shape(node, 1)[1:])
        return math.prod(_shape(node, 0) if transposed else node.meta["val"].shape) * per_place
    first = {"linear": 0, "mm": 0, "bmm": 0, "addmm": 1}.get(name)
    return 0 if first is None else math.prod(node.meta["val"].shape) * _shape(node, first)[-1]


def _shape(node: "Node", argument: int) -> tuple[int, ...]:
    return tuple(node.args[argument].meta["val"].shape)  # pyright: ignore  tensors are nodes here
