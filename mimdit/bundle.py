"""The bundle: a folder NAME.mimdit of a manifest, model files and a card. Written whole, opened only if sound."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mimdit.bundle_checks import CHECKS, hash_file, read_manifest
from mimdit.card import card
from mimdit.errors import BundleError
from mimdit.files import write_file, write_folder
from mimdit.manifest import MANIFEST_NAME, FileEntry, Manifest, ModelEntry
from mimdit.strict_json import describe
from mimdit.targets import Variant

__all__ = ["CARD_NAME", "CHECK_NAMES", "SUFFIX", "Bundle", "default_bundle_path", "open_bundle", "write_bundle"]

SUFFIX = ".mimdit"
CARD_NAME = "CARD.md"
CHECK_NAMES = ("manifest", *(check.name for check in CHECKS))


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: every check has passed. `path` is absolute."""

    path: Path
    manifest: Manifest

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The variants, each once, in the order of the manifest."""
        return tuple(dict.fromkeys(model.variant for model in self.manifest.models))

    def entry(self, variant: Variant, tile: int | None = None) -> ModelEntry:
        """The model of a variant at a tile size, by default the first that the manifest lists. Raises BundleError."""
        for model in self.manifest.models:
            if model.variant == variant and tile in (None, model.tile):
                return model
        known = ", ".join(f"{model.variant} at {model.tile}" for model in self.manifest.models)
        size = "" if tile is None else f" at tile {tile}"
        raise BundleError(f"{self.path.name} has no variant {variant}{size}: it has {known}")

    def file(self, name: str) -> Path:
        """Where a listed file, or a folder of listed files, lies. Raises BundleError for any other name."""
        if not any(file.path == name or file.path.startswith(f"{name}/") for file in self.manifest.files):
            raise BundleError(f"{self.path.name} lists no file {name!r}: see its {MANIFEST_NAME}")
        return self.path / name


def default_bundle_path() -> Path:
    """The bundle that comes with the package."""
    return Path(__file__).parent / "default" / f"default{SUFFIX}"


def open_bundle(
    path: str | os.PathLike[str] | None = None, *, on_check: Callable[[str, str], object] | None = None
) -> Bundle:
    """Open a bundle, by default the embedded one, after checking everything in it. Raises BundleError.

    The path itself may be a link (the caller chose it); nothing inside may be. `on_check` hears of each check that
    passed, in the order of CHECK_NAMES: its name and what was seen.
    """
    folder = default_bundle_path() if path is None else Path(path)
    try:
        manifest = _check(folder.resolve(), on_check or (lambda name, seen: None))
    except BundleError as error:
        raise BundleError(f"{folder}: {error}") from None
    except OSError as error:
        raise BundleError(f"{folder} cannot be read: {error.strerror or error}; check path and permissions") from None
    return Bundle(folder.resolve(), manifest)


def write_bundle(
    path: str | Path, manifest: Manifest, fill: Callable[[Path], object], *, overwrite: bool = False
) -> Manifest:
    """Write a bundle in one step and return its manifest, files included.

    `fill` puts the model files into an empty folder; `manifest.files` is empty and is filled here. The finished
    folder passes every check of `open_bundle` before it gets its name. Raises BundleError, or MimditError when the
    place cannot be written.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise BundleError(
            f"expected a bundle's name to end in {SUFFIX}, found {path.name}: write to {path.name}{SUFFIX}"
        )
    if overwrite and path.is_dir() and any(path.iterdir()) and not (path / MANIFEST_NAME).exists():
        # Replacing a folder deletes it: never one that is not a bundle.
        raise BundleError(f"{path} is no bundle (no {MANIFEST_NAME} in it): it is not overwritten; choose another name")

    written: list[Manifest] = []

    def fill_and_seal(folder: Path) -> None:
        fill(folder)
        manifest_so_far = _with_files(manifest, folder)
        write_file(folder / CARD_NAME, card(manifest_so_far).encode())
        written.append(_with_files(manifest, folder))
        write_file(folder / MANIFEST_NAME, (written[0].model_dump_json(indent=2) + "\n").encode())
        _check(folder, lambda name, seen: None)

    write_folder(path, fill_and_seal, overwrite=overwrite)
    return written[0]


def _check(folder: Path, tell: Callable[[str, str], object]) -> Manifest:
    """Run every check, in the order of CHECK_NAMES, and tell of each that passed."""
    manifest = read_manifest(folder)
    tell("manifest", f"schema version {manifest.schema_version}, id {manifest.id}, {len(manifest.models)} models")
    for check in CHECKS:
        tell(check.name, check.run(folder, manifest))
    return manifest


def _with_files(manifest: Manifest, folder: Path) -> Manifest:
    """The manifest with every file that lies in the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    try:
        entries = tuple(
            FileEntry(path=path.relative_to(folder).as_posix(), sha256=hash_file(path), bytes=path.stat().st_size)
            for path in paths
        )
        return Manifest.model_validate({**dict(manifest), "files": entries})
    except ValidationError as error:
        raise BundleError(f"the bundle would not open: {describe(error)}") from None
