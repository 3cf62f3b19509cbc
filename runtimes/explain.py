"""What a restored photo says of its restoration, held against the bundle and the original, and done again."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mimdit.bundle_checks import hash_file
from mimdit.errors import PhotoError
from mimdit.image import Photo, load, save
from mimdit.image.credentials import signed_by
from mimdit.image.provenance import Provenance, read_provenance, with_provenance
from mimdit.pixels import to_unit
from mimdit.runtimes.restore import Restored, Restorer
from mimdit.runtimes.tiler import Window

if TYPE_CHECKING:
    from mimdit.bundle import Bundle

__all__ = [
    "Agreement",
    "Check",
    "check",
    "check_signature",
    "compare",
    "file_hash",
    "provenance_of",
    "provenance_or_error",
    "redo",
]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. passed is None where it could not be."""

    name: str
    passed: bool | None
    seen: str


@dataclass(frozen=True)
class Agreement:
    """Two restorations of one photo, in levels of 255: 0 on the same machine."""

    max_levels: float
    mean_levels: float


def provenance_of(
    bundle: "Bundle", restored: Restored, source: Path, strength: float, window: Window | None
) -> Provenance:
    """What will be written into a photo that was just restored from the file `source`."""
    if restored.runtime is None or restored.tile is None:
        raise ValueError("nothing was restored")
    unit = restored.runtime.split("/")[1]
    manifest = bundle.manifest
    return Provenance.model_validate(
        {
            "bundle": manifest.id,
            "variants": restored.variants,
            "target": manifest.target,
            "precision": manifest.precision,
            "unit": unit,
            "tile": restored.tile,
            "overlap": manifest.tile_overlap,
            "strength": strength,
            "window": None if window is None else (window.top, window.left, window.height, window.width),
            "scores": None if restored.scores is None else {k: round(v, 4) for k, v in restored.scores.items()},
            "input_sha256": file_hash(source),
            "mimdit": version("mimdit"),
        }
    )


def provenance_or_error(path: Path) -> Provenance:
    """What a photo file says of its restoration. Raises PhotoError where it says nothing."""
    provenance = read_provenance(load(path))
    if provenance is None:
        raise PhotoError(f"{path}: says nothing of a restoration: expected a photo that mimdit restored, XMP kept")
    return provenance


def check(provenance: Provenance, bundle: "Bundle", original: Path | None) -> list[Check]:
    """The photo's words against a bundle and, where it is at hand, the file that was restored."""
    manifest = bundle.manifest
    same = manifest.id == provenance.bundle
    checks = [Check("bundle", same, f"{bundle.path.name} is {manifest.id}, the photo says {provenance.bundle}")]
    for name, has, said in (
        ("target", manifest.target, provenance.target),
        ("precision", manifest.precision, provenance.precision),
        ("overlap", manifest.tile_overlap, provenance.overlap),
    ):
        checks.append(Check(name, has == said, f"the bundle has {has}, the photo says {said}"))
    models = {(model.variant, model.tile) for model in manifest.models}
    wanted = [(name, provenance.tile) for name in provenance.variants]
    words = ", ".join(f"{name} at {tile} px" for name, tile in wanted)
    checks.append(Check("variants", provenance.variants != () and wanted[-1] in models, words))
    if original is None:
        checks.append(Check("input", None, "not at hand: name it with --original"))
    else:
        found = file_hash(original)
        checks.append(Check("input", found == provenance.input_sha256, f"{original} is {found[:16]}…"))
    return checks


def check_signature(photo: Path) -> list[Check]:
    """Its content credentials, where it has any and c2pa-python is installed to read them."""
    signer = signed_by(photo)
    if signer is None:
        return []
    words = {"Trusted": "", "Valid": ", for whom nobody here vouches"}.get(signer.state, ", but it was changed since")
    return [Check("signature", signer.state in ("Trusted", "Valid"), f"by {signer.name}{words}")]


def redo(provenance: Provenance, bundle: "Bundle", original: Path, photo: Path, output: Path) -> Agreement:
    """Restores `original` as the photo says, writes it to `output` and compares it with `photo`. Raises MimditError."""
    source = load(original)
    restorer = Restorer(bundle, tile=provenance.tile)
    window = None if provenance.window is None else Window(*provenance.window)
    working = source.working()
    for i, name in enumerate(provenance.variants):
        part = window if i == len(provenance.variants) - 1 else None
        working = restorer.restore(working, name, strength=provenance.strength, window=part).pixels
    again = source if window is None else source.cropped(window.top, window.left, window.height, window.width)
    save(with_provenance(again.with_working(working), provenance), output)
    return compare(load(photo), load(output))


def compare(one: Photo, other: Photo) -> Agreement:
    """How far two photos are apart. Raises PhotoError where their sizes differ."""
    if one.pixels.shape != other.pixels.shape:
        raise PhotoError(f"the photo has another size than its restoration: {one.pixels.shape}, {other.pixels.shape}")
    worst, total = 0.0, 0.0
    for top in range(0, len(one.pixels), 256):
        rows = slice(top, top + 256)
        apart = np.abs(to_unit(one.pixels[rows]) - to_unit(other.pixels[rows])) * 255
        worst, total = max(worst, float(apart.max())), total + float(apart.sum())
    return Agreement(worst, total / one.pixels.size)


def file_hash(path: Path) -> str:
    """SHA-256 of a file. Raises PhotoError."""
    try:
        return hash_file(path)
    except OSError as error:
        raise PhotoError(f"{path}: cannot be read ({error.strerror}): check its name and permissions") from None
