"""Peak resident memory of `mimdit restore` by photo size, and growth over many small restores. By hand, when idle:

    python benchmarks/memory.py --megapixels 12 100 --many 10000

Prints one JSON object. Each size runs in a process of its own; the photo is noise in JPEG, which costs most to decode.
With --deep it is a TIFF of 16 bits in Display P3, and so is the result.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mimdit.benchmarks.loading import peak_memory, peak_of_command
from mimdit.image import Photo, icc, save
from mimdit.image.cicp import PRIMARIES


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megapixels", type=float, nargs="*", default=[12, 100])
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--threads", default="1")
    parser.add_argument("--deep", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sizes = [_one(Path(folder), size, arguments.threads, arguments.deep) for size in arguments.megapixels]
    result: dict[str, object] = {"sizes": sizes}
    if arguments.many:
        result |= {"growth_mb": _growth(arguments.many), "restores": arguments.many}
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


def _one(folder: Path, megapixels: float, threads: str, deep: bool) -> dict[str, float]:
    side = round((megapixels * 1e6) ** 0.5)
    source = folder / ("photo.tif" if deep else "photo.jpg")
    rows = np.random.default_rng(0).integers(0, 256, (64, side, 3), np.uint8)
    pixels = np.resize(rows.astype(np.uint16) * 257 if deep else rows, (side, side, 3))
    save(Photo(pixels, icc=icc.make("P3", PRIMARIES[12], 2.2) if deep else None), source, overwrite=True)
    out = folder / f"out{source.suffix}"
    before, began = os.times(), time.perf_counter()
    peak = peak_of_command(
        "restore", str(source), "-o", str(out), "--overwrite", "--variant", "denoise", "--threads", threads
    )
    seconds, after = time.perf_counter() - began, os.times()
    # Of the processor alone: what else the machine does shows in it least, so that sizes can be compared.
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    size = side * side / 1e6
    return {
        "megapixels": size,
        "peak_mb": round(peak / 2**20, 1),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(busy, 1),
        "cpu_seconds_per_megapixel": round(busy / size, 2),
    }


def _growth(count: int) -> float:
    """MB that `count` restores of 64×64 px add to the peak after the first hundred."""
    from mimdit.bundle import open_bundle
    from mimdit.runtimes.restore import Restorer

    restorer = Restorer(open_bundle(), threads=1)
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    before = 0
    for turn in range(count):
        restorer.restore(photo, "denoise")
        if turn == min(100, count // 2):
            before = peak_memory() or 0
    return round(((peak_memory() or 0) - before) / 2**20, 2)


if __name__ == "__main__":
    main()
