"""Photos per second of `mimdit restore` over a folder, against what the bare runtime would allow.

    python -m mimdit.benchmarks.folder --photos 200        # when nothing else runs; minutes

Photos of one megapixel (JPEG, the example photos mirrored into that size) are restored by the command as users run it;
its start is part of the time. The bare runtime runs as many tiles a second as it can with the same cores; a photo takes
`tile_count` of them, its whole-photo view included. Bare tiles are timed before and after, and their mean counts, so
that a machine that grows slow does not show as a pipeline that does. Prints one JSON object; `ratio` should be 0.9.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mimdit.benchmarks.latency import noise_inputs
from mimdit.bundle import Bundle, open_bundle
from mimdit.example_photos import EXAMPLES
from mimdit.runtimes import open_runtime
from mimdit.runtimes.restore import best_tile
from mimdit.runtimes.tiler import tile_count
from mimdit.targets import SETS_LIGHT, Variant

__all__ = ["measure"]

SIDE = 1000  # px, of each photo
_VARIANT: Variant = "denoise"
_PATTERN = "juniper.png"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="photos/s of a folder against tiles/s of the bare runtime")
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--side", type=int, default=SIDE, help="px of each photo")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--tiles", type=int, default=50, help="bare tiles that are timed before and after")
    arguments = parser.parse_args()
    found = measure(arguments.photos, arguments.bundle, arguments.side, arguments.jobs, arguments.tiles)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def measure(photos: int, path: Path | None, side: int, jobs: int, tiles: int) -> dict[str, float]:
    """Restores `photos` of side × side px, `jobs` at once, and compares."""
    bundle = open_bundle(path)
    tile = best_tile(bundle, _VARIANT, side, side)
    needed = tile_count(side, side, tile, bundle.manifest.tile_overlap, align=_VARIANT in SETS_LIGHT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        folder.mkdir()
        _fill(folder, photos, side)
        before = _tiles_per_second(bundle, tile, tiles)
        seconds = _restore(folder, Path(name) / "out", bundle, jobs)
        after = _tiles_per_second(bundle, tile, tiles)
    bare = 2 / (1 / before + 1 / after)
    return {
        "photos": photos,
        "megapixels": round(side * side / 1e6, 3),
        "tile": tile,
        "tiles_per_photo": needed,
        "bare_tiles_per_second": round(bare, 2),
        "bare_before": round(before, 2),
        "bare_after": round(after, 2),
        "photos_per_second": round(photos / seconds, 4),
        "possible_photos_per_second": round(bare / needed, 4),
        "ratio": round(photos / seconds * needed / bare, 3),
    }


def _fill(folder: Path, photos: int, side: int) -> None:
    from PIL import Image

    with Image.open(EXAMPLES / _PATTERN) as image:
        pixels = np.asarray(image.convert("RGB"))
    pattern = np.pad(pixels, [(0, max(side - size, 0)) for size in pixels.shape[:2]] + [(0, 0)], mode="reflect")
    for i in range(photos):
        shifted = np.roll(pattern, 17 * i, axis=1)[:side, :side]
        Image.fromarray(shifted).save(folder / f"{i:04}.jpg", quality=90)


def _restore(folder: Path, out: Path, bundle: Bundle, jobs: int) -> float:
    """Seconds of the whole command."""
    command = [sys.executable, "-m", "mimdit", "restore", str(folder), "-o", str(out), "--bundle", str(bundle.path)]
    began = time.perf_counter()
    subprocess.run([*command, "--variant", _VARIANT, "--jobs", str(jobs)], check=True, capture_output=True)
    return time.perf_counter() - began


def _tiles_per_second(bundle: Bundle, tile: int, count: int) -> float:
    runtime = open_runtime(bundle, _VARIANT, tile=tile)
    image, photo = noise_inputs(tile, np.random.default_rng(0))
    runtime.run(image, photo)  # the first is slower
    began = time.perf_counter()
    for _ in range(count):
        runtime.run(image, photo)
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
