"""The minimal reader agrees with the onnx package on sound files, and refuses what could be read in two ways."""

import random
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mimdit.errors import BundleError
from mimdit.onnx_file import Tensor, parse

from .crafted import crafted_model


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def rich_model() -> onnx.ModelProto:
    """A tensor in every place and every storage that the reader knows."""
    model = crafted_model(offset=8)
    values = {
        "f32": np.arange(6, dtype=np.float32).reshape(2, 3),
        "f16": np.ones((3, 1), np.float16),
        "f64": np.array([2.5]),
        "i64": np.array([1, -1, 1 << 40]),
        "i8": np.zeros((200,), np.int8),
        "flag": np.array([True]),
        "empty": np.zeros((0, 4), np.float32),
        "scalar": np.array(7, np.float32),
    }
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items())
    model.graph.initializer.append(helper.make_tensor("typed_f32", TensorProto.FLOAT, [2], [1.0, 2.0]))
    model.graph.initializer.append(helper.make_tensor("typed_f64", TensorProto.DOUBLE, [2], [1.0, 2.0]))
    model.graph.initializer.append(helper.make_tensor("typed_i64", TensorProto.INT64, [3], [1, -2, 300]))
    model.graph.initializer.append(helper.make_tensor("typed_i32", TensorProto.INT32, [2], [1, 300]))
    constant = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(floats(1, 2), "in_subgraph"))
    branch = helper.make_graph([constant], "branch", [], [])
    model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch))
    in_function = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(floats(3), "in_function"))
    model.functions.append(helper.make_function("local", "f", [], ["c"], [in_function], []))
    sparse = [numpy_helper.from_array(floats(5), "sparse"), numpy_helper.from_array(np.array([2]), "indices")]
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(sparse[0], sparse[1], [4]))
    model.metadata_props.add(key="mimdit.bundle", value="0123456789abcdef")
    model.metadata_props.add(key="note", value="ünïcode")
    model.doc_string = "x" * 300
    return model


def bytes_of(data: bytes, tensor: Tensor) -> bytes:
    return data[tensor.offset : tensor.offset + tensor.length]


def test_agrees_with_the_onnx_package() -> None:
    model = rich_model()
    data = model.SerializeToString()
    found = parse(data)
    assert found.metadata == {"mimdit.bundle": "0123456789abcdef", "note": "ünïcode"}
    by_name = {tensor.name: tensor for tensor in found.tensors}
    # The two branches of the If are equal byte for byte, and so read once.
    assert len(by_name) == len(found.tensors) == len(model.graph.initializer) + 4

    for tensor in [*model.graph.initializer, model.graph.sparse_initializer[0].values]:
        mine = by_name[tensor.name]
        assert (mine.dims, mine.data_type) == (tuple(tensor.dims), tensor.data_type)
        if tensor.data_location == TensorProto.EXTERNAL:
            assert (mine.location, mine.offset, mine.length) == ("weights.bin", 8, 12)
        elif mine.plain:
            assert bytes_of(data, mine) == numpy_helper.to_array(tensor).tobytes()
        else:
            assert tensor.name in ("typed_i64", "typed_i32")
    assert bytes_of(data, by_name["in_subgraph"]) == floats(1, 2).tobytes()
    assert bytes_of(data, by_name["in_function"]) == floats(3).tobytes()
    assert bytes_of(data, by_name["sparse"]) == floats(5).tobytes()


def with_tensor(**fields: Any) -> bytes:
    return onnx.ModelProto(graph=onnx.GraphProto(initializer=[TensorProto(**fields)])).SerializeToString()


def message(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field; content of up to 127 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


ONE = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[1], raw_data=bytes(4)).SerializeToString()
EXTERNAL = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
EXTERNAL.external_data.add(key="location", value="weights.bin")


def in_graph(tensor: bytes) -> bytes:
    return message(7, message(5, tensor))


def external(*pairs: tuple[str, str]) -> bytes:
    tensor = TensorProto()
    tensor.CopyFrom(EXTERNAL)
    for key, value in pairs:
        tensor.external_data.add(key=key, value=value)
    return in_graph(tensor.SerializeToString())


REFUSED = {
    "two graphs": (in_graph(ONE) * 2, "field 7 once"),
    "graph as a number": (b"\x38\x01", "field 7 has wire type 0"),
    "group": (b"\x3b\x3c", "wire type 3"),
    "field number zero": (b"\x00\x01", "inside its whole"),
    "message past its whole": (b"\x3a\x04\x2a\x09ab", "inside its whole"),
    "number too long": (b"\x08" + b"\xff" * 10, "at most 64 bits"),
    "number of 70 bits": (b"\x08" + b"\xff" * 9 + b"\x7f", "at most 64 bits"),
    "cut in a length": (b"\x3a", "ends early"),
    "type given twice": (in_graph(ONE + b"\x10\x01"), "field 2 once"),
    "name given twice": (in_graph(ONE + message(8, b"u")), "field 8 once"),
    "type as bytes": (in_graph(message(2, b"\x01")), "found field 2"),
    "data given twice": (in_graph(ONE + message(9, bytes(4))), "in one place"),
    "raw and typed data": (in_graph(ONE + message(4, bytes(4))), "in one place"),
    "unpacked floats": (in_graph(b"\x08\x01\x10\x01\x25" + bytes(4)), "expected packed elements"),
    "segment": (in_graph(ONE + message(3, b"")), "found field 3"),
    "external and inline": (in_graph(EXTERNAL.SerializeToString() + message(9, bytes(4))), "in one place"),
    "external without saying so": (in_graph(ONE + message(13, message(1, b"location"))), "in one place"),
    "external without a place": (in_graph(ONE[:-6] + b"\x70\x01"), "in one place"),
    "unknown location": (in_graph(ONE[:-6] + b"\x70\x02"), "in one place"),
    "external key twice": (external(("location", "other.bin")), "'location' once"),
    "unknown external key": (external(("checksum", "0")), "expected location, offset and length"),
    "offset in words": (external(("offset", "0x10")), "expected location, offset and length"),
    "offset in other digits": (external(("offset", "٣")), "expected location, offset and length"),
    "strings": (with_tensor(data_type=TensorProto.STRING, dims=[1], string_data=[b"a"]), "element type 8"),
    "8-bit floats": (with_tensor(data_type=TensorProto.FLOAT8E4M3FN, dims=[1], raw_data=b"\x7f"), "element type 17"),
    "no type": (with_tensor(dims=[1], raw_data=b"\0"), "element type 0"),
    "unknown type": (with_tensor(data_type=999, dims=[1], raw_data=b"\0"), "element type 999"),
    "fewer bytes than dimensions": (with_tensor(data_type=1, dims=[2], raw_data=bytes(4)), "expected 8 bytes"),
    "no bytes": (with_tensor(data_type=1, dims=[2]), "expected 8 bytes"),
    "dimensions that overflow": (with_tensor(data_type=1, dims=[2**32, 2**32, 2**32], raw_data=b""), "found 0"),
    "negative dimension": (with_tensor(data_type=1, dims=[-1], raw_data=b""), "found a negative one"),
    "many dimensions": (with_tensor(data_type=1, dims=[1] * 17, raw_data=bytes(4)), "at most 16 dimensions"),
    "half floats as numbers": (with_tensor(data_type=10, dims=[1], int32_data=[0x7C00]), "use raw_data"),
    "doubles as floats": (with_tensor(data_type=11, dims=[1], float_data=[1.0]), "use raw_data"),
    "metadata key twice": (in_graph(ONE) + 2 * message(14, message(1, b"k")), "'k' once"),
    "metadata not UTF-8": (in_graph(ONE) + message(14, message(1, b"\xff")), "UTF-8"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    data, reason = REFUSED[name]
    with pytest.raises(BundleError, match=reason):
        parse(data)


def test_refuses_endless_nesting() -> None:
    data = onnx.GraphProto()
    for _ in range(30):
        outer = onnx.GraphProto()
        outer.node.add(op_type="If").attribute.add(name="then_branch").g.CopyFrom(data)
        data = outer
    with pytest.raises(BundleError, match="at most 64 nested"):
        parse(onnx.ModelProto(graph=data).SerializeToString())


def test_refuses_a_million_empty_nodes() -> None:
    nodes = message(1, b"") * (2**20 + 1)
    size = bytes([len(nodes) & 127 | 128, len(nodes) >> 7 & 127 | 128, len(nodes) >> 14 & 127 | 128, len(nodes) >> 21])
    with pytest.raises(BundleError, match="at most 1048576 nodes"):
        parse(b"\x3a" + size + nodes)


def test_damage_is_read_or_refused() -> None:
    """Cut anywhere, or with random bytes in it: a result or a BundleError, never anything else."""
    data = rich_model().SerializeToString()
    rng = random.Random(0)
    damaged = [data[:end] for end in range(0, len(data), 3)]
    for _ in range(1000):
        copy = bytearray(data)
        for _ in range(rng.randint(1, 8)):
            copy[rng.randrange(len(copy))] = rng.randrange(256)
        damaged.append(bytes(copy))
    refused = 0
    for candidate in damaged:
        try:
            for tensor in parse(candidate).tensors:
                assert tensor.location is not None or tensor.offset + tensor.length <= len(candidate)
        except BundleError:
            refused += 1
    assert 0 < refused < len(damaged)
