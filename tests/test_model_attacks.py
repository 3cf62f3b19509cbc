"""Model files that lie, under true hashes: data elsewhere, weights that are no numbers, random damage."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mimdit.bundle import open_bundle
from mimdit.errors import BundleError
from mimdit.manifest import ID_KEY

from .crafted import GAIN, crafted_model, reseal
from .refused import opened_files, refused, stayed_inside


def model(**where: object) -> Callable[[], onnx.ModelProto]:
    """The crafted model with its gain's external data somewhere else."""

    def make() -> onnx.ModelProto:
        made = crafted_model()
        for entry in made.graph.initializer[0].external_data:
            entry.value = str(where.get(entry.key, entry.value))
        return made

    return make


def model_with(tensor: TensorProto, *, inside: str = "graph") -> Callable[[], onnx.ModelProto]:
    """The crafted model with one more tensor: an initializer, a constant, or deep in a subgraph or a function."""

    def make() -> onnx.ModelProto:
        made = crafted_model()
        constant = helper.make_node("Constant", [], ["c"], value=tensor)
        if inside == "graph":
            made.graph.initializer.append(tensor)
        elif inside == "constant":
            made.graph.node.append(constant)
        elif inside == "subgraph":
            branch = helper.make_graph([constant], "branch", [], [])
            made.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch))
        elif inside == "function":
            made.functions.append(helper.make_function("local", "f", [], ["c"], [constant], []))
        elif inside == "sparse":
            indices = numpy_helper.from_array(np.array([0], np.int64), "i")
            made.graph.sparse_initializer.append(helper.make_sparse_tensor(tensor, indices, [4]))
        return made

    return make


def of_another_bundle() -> onnx.ModelProto:
    made = crafted_model()
    made.metadata_props.add(key=ID_KEY, value="0123456789abcdef")
    return made


NAN = numpy_helper.from_array(np.array([np.nan], np.float32), "poison")
HALF = numpy_helper.from_array(np.array([np.inf], np.float16), "poison")
DOUBLE = numpy_helper.from_array(np.array([-np.inf], np.float64), "poison")
BRAIN = TensorProto(name="poison", data_type=TensorProto.BFLOAT16, dims=[1], raw_data=b"\xc0\x7f")
TYPED = TensorProto(name="poison", data_type=TensorProto.FLOAT, dims=[1], float_data=[float("nan")])
OUTSIDE = TensorProto(name="poison", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
OUTSIDE.external_data.add(key="location", value="../outside.bin")

MODEL_ATTACKS: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "external data outside": (model(location="../outside.bin"), r"'\.\./outside.bin', no listed file"),
    "external data outside, from inside": (model(location="x/../../outside.bin"), "no listed file"),
    "external data by absolute path": (model(location="/etc/passwd"), "'/etc/passwd', no listed file"),
    "external data in an unlisted file": (model(location="manifest.json"), "no listed file"),
    "external data at a memory address": (model(location="*/_ORT_MEM_ADDR_/*"), "no listed file"),
    "external data nowhere": (model(location=""), "expected location, offset and length"),
    "external data past the end": (model(offset=8), "ends at byte 20 of weights.bin, which has 12"),
    "external data far past the end": (model(offset=2**62), "which has 12"),
    "external data before the start": (model(offset=-4), "expected location, offset and length"),
    "external data of another length": (model(length=4), "expected 12 bytes for dimensions"),
    "external data in a constant": (model_with(OUTSIDE, inside="constant"), "no listed file"),
    "external data in a subgraph": (model_with(OUTSIDE, inside="subgraph"), "no listed file"),
    "external data in a function": (model_with(OUTSIDE, inside="function"), "no listed file"),
    "external data in a sparse tensor": (model_with(OUTSIDE, inside="sparse"), "no listed file"),
    "NaN": (model_with(NAN), "found NaN or infinity in 'poison'"),
    "NaN in a constant": (model_with(NAN, inside="constant"), "found NaN or infinity"),
    "NaN in a subgraph": (model_with(NAN, inside="subgraph"), "found NaN or infinity"),
    "NaN in float_data": (model_with(TYPED), "found NaN or infinity"),
    "infinite float16": (model_with(HALF), "found NaN or infinity"),
    "infinite float64": (model_with(DOUBLE), "found NaN or infinity"),
    "NaN in bfloat16": (model_with(BRAIN), "found NaN or infinity"),
    "of another bundle": (of_another_bundle, "belongs to bundle '0123456789abcdef'"),
}


@pytest.mark.parametrize("name", MODEL_ATTACKS)
def test_model(crafted: Path, name: str) -> None:
    make, message = MODEL_ATTACKS[name]
    (crafted.parent / "outside.bin").write_bytes(GAIN.tobytes())
    (crafted / "denoise-16.onnx").write_bytes(make().SerializeToString())
    reseal(crafted)
    with opened_files() as opened:
        refused(crafted, message)
    assert stayed_inside(opened, crafted)


def test_infinite_weights_outside_the_model_file(crafted: Path) -> None:
    (crafted / "weights.bin").write_bytes(np.array([1, np.inf, 1], np.float32).tobytes())
    reseal(crafted)
    refused(crafted, "weights.bin: expected finite weights, found NaN or infinity in 'branch.blocks.0")


@pytest.mark.parametrize(
    ("data", "message"), [(b"", "no graph"), (b"PK\3\4 not a model", "a model file"), (bytes(33 << 20), "at most")]
)
def test_model_files_that_are_none(crafted: Path, data: bytes, message: str) -> None:
    (crafted / "denoise-16.onnx").write_bytes(data)
    reseal(crafted)
    refused(crafted, message)


def test_mutated_bundles_open_or_are_refused(crafted: Path) -> None:
    """Random damage under true hashes: nothing but a BundleError may come out, and no file outside is opened."""
    rng = random.Random(0)
    sound = {path.name: path.read_bytes() for path in crafted.iterdir()}
    outcomes = {"opened": 0, "refused": 0}
    for _ in range(150):
        victim = rng.choice(["denoise-16.onnx", "manifest.json"])
        data = bytearray(sound[victim])
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        (crafted / victim).write_bytes(data)
        if victim != "manifest.json":
            reseal(crafted)
        with opened_files() as opened:
            try:
                open_bundle(crafted)
                outcomes["opened"] += 1
            except BundleError:
                outcomes["refused"] += 1
        assert stayed_inside(opened, crafted)
        for name, original in sound.items():
            (crafted / name).write_bytes(original)
    assert min(outcomes.values()) > 0, outcomes
