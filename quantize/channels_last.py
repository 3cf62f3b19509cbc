"""ONNX: what lies between convolutions of the codec, with channels last.

ONNX Runtime computes 8-bit convolutions with channels last. Sums, gates and enlargements between them are floats with
channels first, so that numbers would be moved before and after most convolutions, on one thread: a tenth of the time.
Here they are [1,places,channels]. Not four axes: ONNX Runtime would see that they can be moved back, and do so.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

__all__ = ["with_channels_last"]

_ALIKE = {"Add", "Mul"}  # do the same in any layout

_Shapes = Mapping[str, tuple[int, ...]]


def with_channels_last(model: "ModelProto", floating: frozenset[str]) -> None:
    """Rewrites a float model in place; its convolutions, and what is before the first and behind the last, stay.

    `floating`: the convolutions that will not have 8 bits, and give channels first whatever is done.
    """
    from onnx import shape_inference

    known = shape_inference.infer_shapes(model, data_prop=True).graph
    shapes: dict[str, tuple[int, ...]] = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for value in [*known.value_info, *known.input, *known.output]:
        shapes[value.name] = tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)
    between = _between_convolutions(model.graph, shapes)
    moved = {name for node in between for name in node.output}
    read = {name for node in between for name in node.input}
    outputs = {value.name for value in model.graph.output}
    rewriting = _Rewriting(model.graph, shapes, moved)
    for node in model.graph.node:
        if node.output[0] in moved:
            rewriting.move(node)
        else:
            rewriting.keep(node)
        if node.op_type == "Conv" and node.name in floating and read & set(node.output) - outputs:
            rewriting.flatten(node)
    del model.graph.node[:]
    model.graph.node.extend(rewriting.nodes)
    del model.graph.value_info[:]


def _between_convolutions(graph: "GraphProto", shapes: _Shapes) -> "list[NodeProto]":
    """The nodes that read only what convolutions gave, or one another, and that only convolutions read, or one another.

    Those that are also read by something else would have to be moved for it, and most are small.
    """
    made = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    outputs = {value.name for value in graph.output}
    found = {node.output[0]: node for node in graph.node if _can_move(node, shapes) and not outputs & set(node.output)}

    def inside(node: "NodeProto | None") -> bool:
        return node is not None and (node.op_type == "Conv" or node.output[0] in found)

    def belongs(node: "NodeProto") -> bool:
        read = [name for name in node.input if len(shapes.get(name, ())) == 4]
        reading = [reader for name in node.output for reader in readers.get(name, ())]
        return bool(reading) and all(map(inside, reading)) and all(inside(made.get(name)) for name in read)

    while outside := [name for name, node in found.items() if not belongs(node)]:
        for name in outside:
            del found[name]
    return list(found.values())


def _can_move(node: "NodeProto", shapes: _Shapes) -> bool:
    """Whether a node gives a map [1,C,H,W], and does so in one of the ways that `_Rewriting` knows."""
    from onnx import helper

    given = shapes.get(node.output[0], ())
    if len(given) != 4 or given[0] != 1:
        return False
    settings = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type in _ALIKE:  # of two maps of one size, or of a map and a number
        return all(shapes.get(name) in ((), (1,), given) for name in node.input)
    if node.op_type == "Split":
        return settings.get("axis") in (1, -3)
    if node.op_type != "Resize" or "axes" in settings:
        return False
    if settings.get("mode", b"nearest") != b"nearest":
        return True
    _, _, high, wide = shapes[node.input[0]]
    factor = given[2] // high
    places = (settings.get("coordinate_transformation_mode"), settings.get("nearest_mode"))
    return places == (b"asymmetric", b"floor") and given[2:] == (factor * high, factor * wide)


class _Rewriting:
    """The nodes of the new graph. A map NAME is called NAME, NAME/last or NAME/flat, as it is laid out."""

    def __init__(self, graph: "GraphProto", shapes: _Shapes, flat: set[str]):
        """`flat`: the maps that are made flat; all others are made with channels first."""
        self.nodes: list[NodeProto] = []
        self._graph, self._shapes, self._flat = graph, shapes, set(flat)
        self._there: set[str] = set()

    def keep(self, node: "NodeProto") -> None:
        """A node that reads maps with channels first."""
        node.input[:] = [self._first(name) for name in node.input]
        self.nodes.append(node)

    def move(self, node: "NodeProto") -> None:
        """A node that reads and gives flat maps instead."""
        if node.op_type == "Resize":
            self._enlarge(node)
            return
        node.input[:] = [self._as_flat(name) for name in node.input]
        node.output[:] = [f"{name}/flat" for name in node.output]
        for attribute in node.attribute:
            if attribute.name == "axis":
                attribute.i = 2
        self.nodes.append(node)

    def flatten(self, node: "NodeProto") -> None:
        """What a node gave is made flat once, for convolutions too."""
        name = node.output[0]
        node.output[0] = f"{name}/first"
        self._add("Transpose", [f"{name}/first"], f"{name}/moved", perm=[0, 2, 3, 1])
        self._lay_flat(f"{name}/moved", name)
        self._flat.add(name)

    def _enlarge(self, node: "NodeProto") -> None:
        source, name = node.input[0], node.output[0]
        _, _, high, wide = self._shapes[source]
        _, _, height, width = self._shapes[name]
        nearest = any(attribute.name == "mode" and attribute.s == b"nearest" for attribute in node.attribute)
        if nearest:  # where it has channels last, ONNX Runtime takes three times as long for it
            places = self._nearest(high, wide, height // high)
            self._add("Gather", [self._as_flat(source), places], f"{name}/flat", axis=1)
            return
        scales = self._constant(np.array([1, height / high, width / wide, 1], np.float32))
        node.input[:] = [self._last(source), "", scales]
        node.output[0] = f"{name}/last"
        self.nodes.append(node)
        self._there.add(f"{name}/last")
        self._lay_flat(f"{name}/last", name)

    def _nearest(self, high: int, wide: int, factor: int) -> str:
        """Which place of a small map each place of the enlarged one shows; runtimes fold this while loading."""
        name = f"nearest/{high}x{wide}/{factor}"
        numbers = [self._constant(np.array(number)) for number in (0, high * wide, 1)]
        self._add("Range", numbers, f"{name}/places")
        self._reshape(f"{name}/places", f"{name}/apart", (high, 1, wide, 1))
        larger = self._constant(np.array([high, factor, wide, factor]))
        self._add("Expand", [f"{name}/apart", larger], f"{name}/repeated")
        self._reshape(f"{name}/repeated", name, (-1,))
        return name

    def _first(self, name: str) -> str:
        if name not in self._flat:
            return name
        self._add("Transpose", [self._last(name)], name, perm=[0, 3, 1, 2])
        return name

    def _last(self, name: str) -> str:
        _, channels, height, width = self._shapes[name]
        if name in self._flat:
            self._reshape(f"{name}/flat", f"{name}/last", (1, height, width, channels))
        else:
            self._add("Transpose", [name], f"{name}/last", perm=[0, 2, 3, 1])
        return f"{name}/last"

    def _as_flat(self, name: str) -> str:
        if len(self._shapes.get(name, ())) != 4:
            return name
        if name not in self._flat:
            self._lay_flat(self._last(name), name)
        return f"{name}/flat"

    def _lay_flat(self, last: str, name: str) -> None:
        """Of a map with channels last, NAME/flat."""
        _, channels, height, width = self._shapes[name]
        self._reshape(last, f"{name}/flat", (1, height * width, channels))

    def _reshape(self, name: str, output: str, shape: tuple[int, ...]) -> None:
        self._add("Reshape", [name, self._constant(np.array(shape))], output)

    def _add(self, operation: str, inputs: list[str], output: str, **attributes: Any) -> None:
        """A node, unless it is there."""
        from onnx import helper

        if output not in self._there:
            self._there.add(output)
            self.nodes.append(helper.make_node(operation, inputs, [output], name=output, **attributes))

    def _constant(self, values: np.ndarray) -> str:
        from onnx import numpy_helper

        name = f"constant/{values.dtype}/{'x'.join(map(str, values.shape))}/{'_'.join(map(str, values.ravel()))}"
        if name not in self._there:
            self._there.add(name)
            self._graph.initializer.append(numpy_helper.from_array(values, name))
        return name
