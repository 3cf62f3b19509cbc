"""What a bundle must pass before anything in it is used; `open_bundle` runs all of it, `mimdit verify` shows it.

Cheap checks come first: names before sizes, sizes before hashes, hashes before content. Each check returns what it
saw in a few words and raises BundleError on the first thing that is wrong. `docs/bundle.md` gives each rule's reason.
"""

import hashlib
import os
import stat
from collections.abc import Callable
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

import numpy as np

from mimdit import onnx_file
from mimdit.errors import BundleError
from mimdit.manifest import ID_KEY, MANIFEST_NAME, Manifest, parse_manifest

__all__ = ["CHECKS", "Check", "hash_file", "read_manifest"]

_AGAIN = "copy or build the bundle again"
_MANIFEST_LIMIT = 4 * 2**20  # bytes; the largest that we wrote has 30 KB
_GRAPH_LIMIT = 32 * 2**20  # bytes; a graph is read as a whole (at most 6 s), larger weights belong beside it
_CHUNK = 2**20  # bytes read at a time; divisible by every element width

# Element type → (unsigned view, exponent bits). All of them set means infinite or not a number, in every IEEE type.
_EXPONENT = {
    "float32": ("<u4", 0x7F800000),
    "float16": ("<u2", 0x7C00),
    "bfloat16": ("<u2", 0x7F80),
    "float64": ("<u8", 0x7FF0000000000000),
}


class Check(NamedTuple):
    """One named check: (folder, manifest) → what was seen, or BundleError."""

    name: str
    run: Callable[[Path, Manifest], str]


def read_manifest(folder: Path) -> Manifest:
    """The first check: a folder with a manifest.json of this version's schema. Raises BundleError."""
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise BundleError(f"expected a bundle (a folder NAME.mimdit), found {found}; check the path")
    path = folder / MANIFEST_NAME
    if not os.path.lexists(path):
        raise BundleError(f"expected a bundle, found a folder without {MANIFEST_NAME}; check the path")
    _regular(path, MANIFEST_NAME)
    with open(path, "rb") as file:
        text = file.read(_MANIFEST_LIMIT + 1)
    if len(text) > _MANIFEST_LIMIT:
        raise BundleError(f"{MANIFEST_NAME}: expected at most {_MANIFEST_LIMIT} bytes, found more; {_AGAIN}")
    return parse_manifest(text)


def check_files(folder: Path, manifest: Manifest) -> str:
    """Exactly the listed files are there, none is a link, and each has its size."""
    sizes = {file.path: file.bytes for file in manifest.files}
    folders = {str(parent) for path in sizes for parent in PurePosixPath(path).parents}
    found = {MANIFEST_NAME}
    pending = [""]
    while pending:
        prefix = pending.pop()
        with os.scandir(folder / prefix) as entries:
            for entry in entries:
                name = prefix + entry.name
                if entry.is_dir(follow_symlinks=False) and name in folders:
                    pending.append(f"{name}/")
                elif name in sizes:
                    size = _regular(folder / name, name).st_size
                    if size != sizes[name]:
                        raise BundleError(f"{name}: expected {sizes[name]} bytes, found {size}; {_AGAIN}")
                    found.add(name)
                elif name != MANIFEST_NAME:
                    raise BundleError(f"{name!r:.120} is not listed in {MANIFEST_NAME}: delete it, or {_AGAIN}")
    missing = sorted(sizes.keys() - found)
    if missing:
        raise BundleError(f"{missing[0]} is listed in {MANIFEST_NAME} but not there ({len(missing)} missing); {_AGAIN}")
    return f"{len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB, no link, nothing unlisted"


def check_hashes(folder: Path, manifest: Manifest) -> str:
    """Every file's bytes are those that were built."""
    for file in manifest.files:
        found = hash_file(folder / file.path)
        if found != file.sha256:
            raise BundleError(f"{file.path}: expected SHA-256 {file.sha256[:16]}…, found {found[:16]}…; {_AGAIN}")
    return f"{len(manifest.files)} SHA-256 digests match"


def check_weights(folder: Path, manifest: Manifest) -> str:
    """Every tensor of every ONNX file lies inside a listed file and is finite; shared ones are read once.

    ONNX Runtime follows external data wherever it points, and loads NaN without a word.
    """
    sizes = {file.path: file.bytes for file in manifest.files}
    models = [path for path in sizes if path.endswith(".onnx")]
    spans: dict[tuple[str, int, int, int], str] = {}
    tensors = 0
    for model in models:
        content = _parse(folder, model, sizes[model])
        if content.metadata.get(ID_KEY, manifest.id) != manifest.id:
            raise BundleError(
                f"{model} belongs to bundle {content.metadata[ID_KEY]!r:.40}, not to {manifest.id}; {_AGAIN}"
            )
        tensors += len(content.tensors)
        for tensor in content.tensors:
            where = model if tensor.location is None else str(PurePosixPath(model).parent / tensor.location)
            if where not in sizes:  # a listed name has no '..', no root, no odd character
                raise BundleError(
                    f"{model}: tensor {tensor.name!r:.60} points to {tensor.location!r:.60}, no listed file; {_AGAIN}"
                )
            if tensor.offset + tensor.length > sizes[where]:
                raise BundleError(
                    f"{model}: tensor {tensor.name!r:.60} ends at byte {tensor.offset + tensor.length} "
                    f"of {where}, which has {sizes[where]}; {_AGAIN}"
                )
            if tensor.data_type in onnx_file.FLOAT_TYPES and tensor.length:
                spans[where, tensor.offset, tensor.length, tensor.data_type] = tensor.name
    _check_finite(folder, spans)
    return f"{tensors} tensors in {len(models)} ONNX files, all inside the bundle and finite"


CHECKS = (Check("files", check_files), Check("hashes", check_hashes), Check("weights", check_weights))


def hash_file(path: Path) -> str:
    """SHA-256 of a file in hex, read in chunks."""
    digest, buffer = hashlib.sha256(), bytearray(_CHUNK)
    view = memoryview(buffer)
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(view[:count])
    return digest.hexdigest()


def _regular(path: Path, name: str) -> os.stat_result:
    """The status of a regular file; links, folders, pipes and devices are refused (a pipe would block for ever)."""
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        kind = "a link" if stat.S_ISLNK(status.st_mode) else "something else"
        raise BundleError(f"{name}: expected a plain file, found {kind}; {_AGAIN}")
    return status


def _parse(folder: Path, model: str, size: int) -> onnx_file.OnnxFile:
    if size > _GRAPH_LIMIT:
        raise BundleError(
            f"{model}: expected at most {_GRAPH_LIMIT} bytes, found {size}; store weights as external data"
        )
    try:
        return onnx_file.parse((folder / model).read_bytes())
    except BundleError as error:
        raise BundleError(f"{model}: {error}") from None


def _check_finite(folder: Path, spans: dict[tuple[str, int, int, int], str]) -> None:
    """Read each span of floats once, in file order and in chunks."""
    for where, inside in groupby(sorted(spans), key=lambda span: span[0]):
        with open(folder / where, "rb") as file:
            for span in inside:
                _, offset, length, data_type = span
                if not _finite(file, offset, length, onnx_file.FLOAT_TYPES[data_type]):
                    raise BundleError(
                        f"{where}: expected finite weights, found NaN or infinity in {spans[span]!r:.60}; rebuild"
                    )


def _finite(file: BinaryIO, offset: int, length: int, element: str) -> bool:
    view, exponent = _EXPONENT[element]
    file.seek(offset)
    while length:
        chunk = file.read(min(length, _CHUNK))
        if not chunk:
            raise BundleError(f"{file.name}: ends while it is read; {_AGAIN}")
        length -= len(chunk)
        bits = np.frombuffer(chunk, view)
        if (bits & bits.dtype.type(exponent)).max() == exponent:
            return False
    return True
