"""One crafted bundle per rule of docs/bundle.md: each is refused, in one line, and no file outside is opened."""

import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mimdit.bundle import open_bundle
from mimdit.errors import BundleError
from mimdit.manifest import ID_KEY

from .crafted import GAIN, crafted_model, edit_manifest, reseal

Attack = Callable[[Path], object]


def refused(folder: Path, message: str) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        open_bundle(folder)
    assert str(caught.value).isprintable()  # one line, no escape sequence


_listeners: list[list[Path]] = []


def _note_opened(event: str, arguments: tuple) -> None:
    if event == "open" and _listeners and isinstance(arguments[0], str | bytes | os.PathLike):
        _listeners[-1].append(Path(os.path.abspath(os.fsdecode(arguments[0]))))


sys.addaudithook(_note_opened)  # cannot be removed again: one for all tests, idle outside `opened_files`


@contextmanager
def opened_files() -> Iterator[list[Path]]:
    """The paths that Python opens inside the block."""
    _listeners.append([])
    try:
        yield _listeners[-1]
    finally:
        _listeners.pop()


def stayed_inside(opened: list[Path], folder: Path) -> bool:
    """Only the folder's own files were opened (and those of Python), and some were."""
    ours = [path for path in opened if folder.parent in path.parents]
    return bool(ours) and all(folder in path.parents for path in ours)


# --- the manifest


def text(change: Callable[[str], str]) -> Attack:
    def attack(folder: Path) -> None:
        path = folder / "manifest.json"
        path.write_text(change(path.read_text()))

    return attack


def content(change: Callable[[dict], object]) -> Attack:
    return lambda folder: edit_manifest(folder, change)


def path_of_a_file(path: str) -> Attack:
    return content(lambda manifest: manifest["files"][0].update(path=path))


def manifest_by_link(folder: Path) -> None:
    (folder / "manifest.json").rename(folder.parent / "outside.json")
    (folder / "manifest.json").symlink_to("../outside.json")


MANIFEST_ATTACKS: dict[str, tuple[Attack, str]] = {
    "missing": (lambda folder: (folder / "manifest.json").unlink(), "expected a bundle"),
    "by a link": (manifest_by_link, "expected a plain file, found a link"),
    "too large": (text(lambda t: t + " " * 2**22), "expected at most 4194304 bytes"),
    "empty": (text(lambda t: ""), "cannot be read"),
    "not JSON": (text(lambda t: t[:-5]), "cannot be read"),
    "not UTF-8": (lambda folder: (folder / "manifest.json").write_bytes(b"\xff{}"), "cannot be read"),
    "nested deeply": (text(lambda t: "[" * 100_000), "nested too deeply"),
    "a list": (text(lambda t: f"[{t}]"), "expected schema_version 1"),
    "duplicate key": (text(lambda t: t.replace("{", '{"id": "0123456789abcdef",', 1)), "'id' twice in one object"),
    "duplicate key inside": (
        text(lambda t: t.replace('"path":', '"path": "x", "path":', 1)),
        "'path' twice in one object",
    ),
    "NaN": (content(lambda m: m["accuracy"][0].update(psnr=float("nan"))), "finite numbers, found NaN"),
    "infinity by overflow": (text(lambda t: t.replace('"psnr": 25.5', '"psnr": 1e999')), "finite"),
    "endless number": (text(lambda t: t.replace('"psnr": 25.5', '"psnr": ' + "9" * 5000)), "cannot be read"),
    "unknown version": (
        content(lambda m: m.update(schema_version=2)),
        "expected schema_version 1, found 2: update mimdit",
    ),
    "no version": (content(lambda m: m.pop("schema_version")), "found None"),
    "version true": (content(lambda m: m.update(schema_version=True)), "found True"),
    "unknown key": (content(lambda m: m.update(hook="curl")), "hook: Extra inputs are not permitted"),
    "missing key": (content(lambda m: m.pop("checkpoint")), "checkpoint: Field required"),
    "wrong type": (content(lambda m: m.update(tile_overlap="4")), "tile_overlap: .*integer, found '4'"),
    "unknown target": (content(lambda m: m.update(target="pickle")), "target: .*found 'pickle'"),
    "escape sequence": (content(lambda m: m.update(command="\x1b]0;owned\x07")), "command: "),
    "line break": (content(lambda m: m.update(command="a\nb")), "command: "),
    "another id": (content(lambda m: m.update(id="0123456789abcdef")), "does not follow from the content"),
    "another plan": (content(lambda m: m["models"][0]["plan"].update(photos=9)), "does not follow from the content"),
    "no files": (content(lambda m: m.update(files=[])), "found none listed"),
    "unlisted model": (content(lambda m: m["models"][0].update(file="other.onnx")), "used but not listed"),
    "listed twice": (content(lambda m: m["files"].append(m["files"][0])), "listed twice"),
    "names that differ in case": (
        content(lambda m: m["files"].append({**m["files"][0], "path": "card.MD"})),
        "only in case",
    ),
    "lists itself": (
        content(lambda m: m["files"].append({**m["files"][0], "path": "manifest.json"})),
        "manifest itself",
    ),
    "parent folder": (path_of_a_file("../outside.bin"), "expected a relative path"),
    "parent folder inside": (path_of_a_file("a/../../outside.bin"), "expected a relative path"),
    "absolute path": (path_of_a_file("/etc/passwd"), "expected a relative path"),
    "Windows path": (path_of_a_file("C:\\Windows\\win.ini"), "expected a relative path"),
    "hidden file": (path_of_a_file(".hidden"), "expected a relative path"),
    "trailing dot": (path_of_a_file("weights.bin."), "expected a relative path"),
    "empty segment": (path_of_a_file("a//b"), "expected a relative path"),
    "empty path": (path_of_a_file(""), "expected a relative path"),
    "zero byte": (path_of_a_file("weights.bin\0.txt"), "expected a relative path"),
    "look-alike letter": (path_of_a_file("wеights.bin"), "expected a relative path"),  # a Cyrillic е
    "path too long": (path_of_a_file("a" * 201), "at most 200 characters"),
    "huge size": (content(lambda m: m["files"][0].update(bytes=2**60)), "less than or equal to 17179869184"),
    "negative size": (content(lambda m: m["files"][0].update(bytes=-1)), "greater than or equal to 0"),
}


@pytest.mark.parametrize("name", MANIFEST_ATTACKS)
def test_manifest(crafted: Path, name: str) -> None:
    attack, message = MANIFEST_ATTACKS[name]
    attack(crafted)
    refused(crafted, message)


# --- the folder


def weights_by_link(folder: Path) -> None:
    (folder / "weights.bin").rename(folder.parent / "outside.bin")  # the same bytes: only the link is wrong
    (folder / "weights.bin").symlink_to("../outside.bin")


def weights_by_linked_folder(folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (folder / "weights.bin").rename(outside / "weights.bin")
    (folder / "sub").symlink_to("../outside", target_is_directory=True)
    edit_manifest(
        folder, lambda m: next(f for f in m["files"] if f["path"] == "weights.bin").update(path="sub/weights.bin")
    )


def weights_by_pipe(folder: Path) -> None:
    (folder / "weights.bin").unlink()
    os.mkfifo(folder / "weights.bin")


def flipped_byte(folder: Path) -> None:
    data = bytearray((folder / "weights.bin").read_bytes())
    data[5] ^= 1
    (folder / "weights.bin").write_bytes(data)


def rewrite(change: Callable[[bytes], bytes]) -> Attack:
    def attack(folder: Path) -> None:
        path = folder / "weights.bin"
        path.write_bytes(change(path.read_bytes()))

    return attack


FOLDER_ATTACKS: dict[str, tuple[Attack, str]] = {
    "unlisted file": (lambda folder: (folder / "extra.so").touch(), "'extra.so' is not listed"),
    "unlisted folder": (lambda folder: (folder / "lib").mkdir(), "'lib' is not listed"),
    "unlisted link": (lambda folder: (folder / "extra").symlink_to("/etc"), "'extra' is not listed"),
    "name with an escape sequence": (lambda folder: (folder / "\x1b[2J").touch(), "is not listed"),
    "missing file": (lambda folder: (folder / "weights.bin").unlink(), "listed in manifest.json but not there"),
    "link": (weights_by_link, "weights.bin: expected a plain file, found a link"),
    "linked folder": (weights_by_linked_folder, "'sub' is not listed"),
    "pipe": (weights_by_pipe, "expected a plain file, found something else"),
    "cut short": (rewrite(lambda data: data[:-1]), "expected 12 bytes, found 11"),
    "grown": (rewrite(lambda data: data + b"\0"), "expected 12 bytes, found 13"),
    "sparse giant": (lambda folder: os.truncate(folder / "weights.bin", 2**40), f"expected 12 bytes, found {2**40}"),
    "flipped byte": (flipped_byte, "weights.bin: expected SHA-256"),
}


@pytest.mark.parametrize("name", FOLDER_ATTACKS)
def test_folder(crafted: Path, name: str) -> None:
    attack, message = FOLDER_ATTACKS[name]
    attack(crafted)
    refused(crafted, message)


def test_what_is_no_folder(tmp_path: Path) -> None:
    refused(tmp_path / "nothing.mimdit", "expected a bundle .*found nothing")
    (tmp_path / "file.mimdit").write_bytes(b"PK")
    refused(tmp_path / "file.mimdit", "expected a bundle .*found a file")


# --- model files, under true hashes


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
