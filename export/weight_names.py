"""Which weight of the network a constant in a converted file is, told from its values.

Converters rename, transpose and reshape weights. The sorted values survive all of it, so a name given by them is also a
proof: a tensor is called `branch.blocks.0.experts.swin_2.qkv.weight` only if it holds that weight.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mimdit.export.graph import DeployableGraph


class WeightNames:
    """The names of a graph's weights by their values. What is constant (zeros, ones) or occurs twice has no name."""

    def __init__(self, graph: "DeployableGraph"):
        self._names: dict[str, str | None] = {}
        for name, tensor in graph.model.state_dict().items():
            if tensor.is_floating_point():
                key = _key(tensor.detach().float().numpy())
                self._names[key] = None if key in self._names else name

    def name(self, values: np.ndarray) -> str | None:
        """Of a constant in any layout, stored as fp32 or, where that is exact, as fp16; None for any other constant."""
        return None if values.size < 2 or values.min() == values.max() else self._names.get(_key(values))


def _key(values: np.ndarray) -> str:
    ordered = np.sort(values.astype(np.float32, copy=False), axis=None)
    return hashlib.sha256(np.ascontiguousarray(ordered).tobytes()).hexdigest()
