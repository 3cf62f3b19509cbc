"""Photo files, damaged at random: each must end in a picture or in one line.

    python -m tests.mutated_photos 20000      # by hand: COUNT [FIRST]; minutes

Runs the cases FIRST … FIRST + COUNT − 1 in this process and prints what became of them as JSON. Case N is the same
bytes wherever the libraries are the same. A crash, or 10 seconds on one case, ends the process; stderr has named it.
"""

import json
import random
import signal
import struct
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from mimdit.benchmarks.loading import peak_memory
from mimdit.errors import MimditError
from mimdit.image import Photo, load, save

from .crafted_png import write_png

SECONDS = 10  # a case may take; they take milliseconds
MEGAPIXELS = 1.0  # the limit in force: damaged sizes below it are decoded


def bases(folder: Path) -> list[Path]:
    """Sound files of every format and depth, 40×24 px, with all metadata."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (3, 5, 3), np.uint8)).resize((40, 24), Image.Resampling.BICUBIC)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Foo"
    xmp = b'<x:xmpmeta tiff:Orientation="3"/>'
    beside: dict[str, Any] = {"exif": exif.tobytes(), "icc_profile": profile, "xmp": xmp}
    grey = small.convert("L")
    small.save(folder / "plain.jpg", **beside)
    small.save(folder / "progressive.jpg", progressive=True, **beside)
    small.convert("CMYK").save(folder / "cmyk.jpg")
    small.save(folder / "two.jpg", "MPO", save_all=True, append_images=[grey])
    small.save(folder / "plain.png", exif=beside["exif"], icc_profile=profile)
    small.quantize(16).save(folder / "palette.png", transparency=0)
    small.save(folder / "plain.webp", **beside)
    small.convert("RGBA").save(folder / "lossless.webp", lossless=True)
    small.save(folder / "moving.webp", save_all=True, append_images=[grey])
    small.save(folder / "plain.bmp")
    small.save(folder / "plain.gif", save_all=True, append_images=[grey])
    for compression in ("raw", "tiff_lzw", "jpeg", "packbits", "tiff_adobe_deflate"):
        small.save(folder / f"{compression}.tif", compression=compression, exif=beside["exif"], icc_profile=profile)
    deep = np.asarray(small).astype(np.uint16) * 257
    write_png(folder / "deep.png", deep, 16, chunks={b"gAMA": struct.pack(">I", 55556), b"cICP": b"\x09\x10\0\1"})
    write_png(folder / "interlaced.png", deep, 16, interlaced=True, chunks={b"tRNS": bytes(6)})
    save(
        Photo(deep, icc=profile, exif=beside["exif"], xmp=beside["xmp"], iptc=b"\x1c\x02\x50\0\1x"), folder / "deep.tif"
    )
    save(Photo((deep / np.float32(65535)).astype(np.float32)), folder / "float.tif")
    if ".avif" in Image.registered_extensions():
        small.save(folder / "plain.avif", **beside)
    if find_spec("pillow_heif"):
        save(Photo(np.asarray(small), exif=beside["exif"]), folder / "plain.heic")
        save(Photo(deep), folder / "deep.heic")
    if find_spec("rawpy"):
        (folder / "raw.dng").write_bytes((folder / "raw.tif").read_bytes())
    return sorted(folder.iterdir())


def mutated(content: bytes, dice: random.Random) -> bytes:
    """One to eight damages of a file, each of a kind that decoders have fallen over."""
    damaged = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 8))):
        dice.choice(_DAMAGES)(damaged, dice)
        if not damaged:
            return b""
    if damaged.startswith(b"\x89PNG") and dice.random() < 0.7:
        return _with_right_sums(bytes(damaged))
    return bytes(damaged)


def _flip(content: bytearray, dice: random.Random) -> None:
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)


def _extreme(content: bytearray, dice: random.Random) -> None:
    """A number at its limits: sizes, offsets, counts."""
    value = dice.choice((b"\0\0", b"\xff\xff", b"\x7f\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"))
    place = dice.randrange(min(len(content), 400) if dice.random() < 0.7 else len(content))
    content[place : place + len(value)] = value


def _cut(content: bytearray, dice: random.Random) -> None:
    del content[dice.randrange(len(content)) :]


def _drop(content: bytearray, dice: random.Random) -> None:
    place = dice.randrange(len(content))
    del content[place : place + dice.randrange(1, 64)]


def _repeat(content: bytearray, dice: random.Random) -> None:
    place = dice.randrange(len(content))
    content[place:place] = content[place : place + dice.randrange(1, 64)] * dice.choice((1, 2, 50))


def _noise(content: bytearray, dice: random.Random) -> None:
    place = dice.randrange(len(content))
    length = dice.randrange(1, 32)
    content[place : place + length] = dice.randbytes(length)


_DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip,
    _flip,
    _extreme,
    _extreme,
    _cut,
    _drop,
    _repeat,
    _noise,
)


def _with_right_sums(content: bytes) -> bytes:
    """A PNG whose checksums fit again: else the first of them would end every case."""
    result, place = content[:8], 8
    while place + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        body = content[place + 4 : place + 8 + length]
        result += content[place : place + 4] + body + struct.pack(">I", zlib.crc32(body))
        place += 12 + length
    return result


def run_case(number: int, files: list[Path], folder: Path) -> str:
    """ "picture", or "refused"; AssertionError for an error that is not one line of ours."""
    dice = random.Random(number)
    base = dice.choice(files)
    path, out = folder / f"case{base.suffix}", folder / "out.png"
    path.write_bytes(mutated(base.read_bytes(), dice))
    try:
        photo = load(path, max_megapixels=MEGAPIXELS)
        photo = photo.with_working(photo.working().copy())
        save(photo, out, overwrite=True)
    except MimditError as error:
        if not str(error).isprintable():  # a line break is not printable either
            raise AssertionError(repr(str(error))) from error
        return "refused"
    return "picture"


def main(count: int, first: int) -> None:
    """Runs the cases and prints the summary."""
    ends: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bases").mkdir()
        files = bases(folder / "bases")
        for number in range(first, first + count):
            signal.alarm(SECONDS)
            sys.stderr.write(f"case {number}\n")
            ends[run_case(number, files, folder)] += 1
        signal.alarm(0)
    megabytes = (peak_memory() or 0) / 2**20
    sys.stdout.write(json.dumps({**ends, "cases": count, "peak_mb": round(megabytes)}) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
