"""One crafted bundle per rule of docs/bundle.md on the manifest and the folder: each is refused, in one line."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from .crafted import edit_manifest
from .refused import refused

Attack = Callable[[Path], object]

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
