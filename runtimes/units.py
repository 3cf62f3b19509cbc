"""Accuracy per unit, as a contract: a unit that does not give the bundle's pixels is not used.

Each bundle holds one golden tile: a small picture, and for every model what the network makes of it. Before a model is
first used on a device, its runtime restores that tile. A unit that is off by more than the bundle allows (an fp16 NPU
with a bad operation, a broken driver) is barred, and the next one is tried. The verdict is kept in the user's cache,
one small file for each model, device, unit and runtime version, so that it costs one tile once.
"""

import hashlib
import json
import os
import platform
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mimdit.cpu import processor
from mimdit.errors import BundleError, MimditError
from mimdit.files import write_file
from mimdit.pixels import mirror, to_unit
from mimdit.runtimes import find, open_runtime
from mimdit.runtimes.base import Runtime, RuntimeSpec
from mimdit.views import photo_view

if TYPE_CHECKING:
    from mimdit.bundle import Bundle
    from mimdit.manifest import ModelEntry
    from mimdit.targets import Variant

__all__ = ["STEP", "golden_error", "golden_inputs", "open_trusted"]

STEP = 4  # px: of what is expected every fourth row and column is kept. No operation is wrong in the others alone


def golden_inputs(picture: np.ndarray, tile: int) -> tuple[np.ndarray, np.ndarray]:
    """Of the golden picture u8[S,S,3], continued by mirroring: image f32[1,3,T,T] and photo f32[1,3,64,64]."""
    line = mirror(tile, len(picture))
    whole = picture[np.ix_(line, line)]
    return np.ascontiguousarray(to_unit(whole).transpose(2, 0, 1))[None], photo_view(whole)


def open_trusted(
    bundle: "Bundle",
    variant: "Variant",
    *,
    tile: int | None = None,
    threads: int | None = None,
    provider: str | None = None,
    tell: Callable[[str], object],
) -> Runtime:
    """As `open_runtime`, on the first unit that gives the bundle's pixels: the one asked for, then the others.

    `tell` hears why a unit is not used. Raises BundleError where none is left.
    """
    spec, entry = find(bundle.manifest.target), bundle.entry(variant, tile)
    first = provider or spec.default
    others = spec.providers[spec.providers.index(first) + 1 :] if first in spec.providers else ()
    runtime = open_runtime(bundle, variant, tile=tile, threads=threads, provider=provider)
    barred = _fault(bundle, entry, runtime, spec)
    for name in others:
        if barred is None:
            break
        with suppress(MimditError):  # not on this machine
            following = open_runtime(bundle, variant, tile=tile, threads=threads, provider=name)
            tell(f"{entry.file} is not run on {runtime.name}/{runtime.unit}: {barred}")
            runtime, barred = following, _fault(bundle, entry, following, spec)
    if barred is not None:
        raise BundleError(
            f"{entry.file} cannot be trusted on {runtime.name}/{runtime.unit}, and no unit is left: {barred}; "
            "update the runtime or the driver, or use a bundle for another target"
        )
    return runtime


def _fault(bundle: "Bundle", entry: "ModelEntry", runtime: Runtime, spec: RuntimeSpec) -> str | None:
    """Why this unit's pixels are not the bundle's; None where they are, or where a bundle has no golden tile."""
    golden = bundle.manifest.golden
    if golden is None or entry.golden is None:
        return None
    circumstances = {
        "bundle": bundle.manifest.id,
        "model": entry.file,
        "expected": next(file.sha256 for file in bundle.manifest.files if file.path == entry.golden),
        "runtime": runtime.name,
        "unit": runtime.unit,
        "version": spec.version(),
        "device": f"{platform.node()}, {platform.machine()}, {processor()}",
    }
    path = _kept(circumstances)
    error = _remembered(path, circumstances)
    if error is None:
        error = golden_error(bundle, entry, runtime)
        # inf is not JSON: an output that is no picture is kept as an error of the whole range
        content = json.dumps({**circumstances, "error": min(error, 1.0)}, indent=1)
        with suppress(MimditError, OSError):  # a cache that cannot be written costs a tile each time, and nothing more
            write_file(path, content.encode(), overwrite=True)
    if error <= golden.tolerance:
        return None
    return (
        f"off by {255 * error:.1f} levels of 255 on the golden tile, at most {255 * golden.tolerance:.1f} are allowed"
    )


def golden_error(bundle: "Bundle", entry: "ModelEntry", runtime: Runtime) -> float:
    """Largest error of a runtime on the golden tile, on 0..1; infinite where its output breaks the tensor contract.

    Raises BundleError where the bundle has no golden tile.
    """
    golden = bundle.manifest.golden
    if golden is None or entry.golden is None:
        raise BundleError(f"{bundle.path.name} has no golden tile: build it again")
    side = runtime.tile // STEP
    expected = _read(bundle.file(entry.golden), (side, side))
    try:
        restored = runtime.run(*golden_inputs(_read(bundle.file(golden.file)), runtime.tile))
    except BundleError:
        return float("inf")
    found = restored[0].transpose(1, 2, 0)[::STEP, ::STEP]
    return float(np.abs(found - to_unit(expected)).max())


def _read(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """A PNG of the bundle → u8[H,W,3]. Raises BundleError; its size is known before it is decoded."""
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.mode != "RGB" or max(image.size) > 8192 or (size and image.size != size):
                raise BundleError(f"{path.name} is no golden tile: {image.mode}, {image.size}; rebuild the bundle")
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BundleError(f"{path.name} is no golden tile: {error}; rebuild the bundle") from None


def _kept(circumstances: dict[str, str]) -> Path:
    """The file that keeps a verdict, by the hash of all that it depends on."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = hashlib.sha256(json.dumps(circumstances, sort_keys=True).encode()).hexdigest()[:32]
    return cache / "mimdit" / "units" / f"{name}.json"


def _remembered(path: Path, circumstances: dict[str, str]) -> float | None:
    """The error that was measured earlier; None where there is no such file, or it is damaged."""
    try:
        content: Any = json.loads(path.read_bytes())
        error = content.pop("error")
    except (OSError, ValueError, AttributeError, KeyError):
        return None
    return float(error) if content == circumstances and isinstance(error, int | float) else None
