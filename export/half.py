"""A graph as a program that computes in fp16, for targets whose converters only take what they are given.

Inputs and output stay float32, the contract of all targets, and so do the operations that the lint lists.
"""

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from mimdit.export.fp16_lint import operation_name

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from mimdit.export.graph import DeployableGraph


def half_program(graph: "DeployableGraph") -> "ExportedProgram":
    """Exported again, every weight and operation in fp16 that does not have to stay in fp32."""
    program = torch.export.export(graph, graph.example_inputs()).run_decompositions({})
    kept = frozenset(operation.node for operation in graph.fragile)
    module = copy.deepcopy(program.module(check_guards=False)).half()  # a copy: its weights are the graph's own
    with torch.no_grad():
        return torch.export.export(_InHalf(module, kept), graph.example_inputs(), strict=False)


class _InHalf(nn.Module):
    """image, photo → restored, as the module that it runs."""

    def __init__(self, module: nn.Module, kept: frozenset[str]):
        super().__init__()
        self.body = module
        self.kept = kept

    def forward(self, image: Tensor, photo: Tensor) -> Tensor:
        return _Interpreter(self.body, self.kept).run(image, photo).float()  # pyright: ignore[reportArgumentType]


class _Interpreter(fx.Interpreter):
    """Gives every operation its floating-point arguments in the type that it computes in."""

    def __init__(self, module: fx.GraphModule, kept: frozenset[str]):
        super().__init__(module)
        self.kept = kept

    def run_node(self, n: fx.Node) -> Any:
        if n.op != "call_function":
            return super().run_node(n)
        operation = operation_name(str(n.target))
        if operation == "_assert_tensor_metadata":  # of the types that there were
            return None
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        if operation == "_to_copy" and kwargs.get("dtype") == torch.float32:
            return args[0]
        wanted = torch.float32 if n.name in self.kept else torch.float16
        args, kwargs = pytree.tree_map_only(
            Tensor, lambda x: x.to(wanted) if x.is_floating_point() else x, (args, kwargs)
        )
        if operation in ("view", "_unsafe_view"):  # a change of type may lay the numbers out anew
            return torch.reshape(*args)
        return n.target(*args, **kwargs)  # pyright: ignore[reportCallIssue]
