"""Photo files from hell: damaged at random, or small and claiming to be huge. A picture or one line, never a crash."""

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mimdit.errors import PhotoError
from mimdit.image import load

from .crafted_png import chunk
from .source import ROOT

CASES = 500
MEGABYTES = 600


def test_damaged_photos_end_in_a_picture_or_one_line() -> None:
    """In a process of its own: a decoder that crashes must not take the tests with it. See `mutated_photos`."""
    command = [sys.executable, "-m", "tests.mutated_photos", str(CASES)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    ends = json.loads(result.stdout)
    assert ends["picture"] + ends["refused"] == CASES
    assert min(ends["picture"], ends["refused"]) > CASES // 10  # neither kind of end is missing
    assert ends["peak_mb"] < MEGABYTES


def _bomb(path: Path, side: int = 60000) -> None:
    """A file of the suffix's format whose header claims side × side pixels."""
    suffix = path.suffix
    small = Image.new("RGB", (16, 16))
    if suffix == ".png":
        header = struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 0)
        pixels = zlib.compress(bytes(2**20))
        parts = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
        return
    small.save(path, lossless=True) if suffix == ".webp" else small.save(path)
    content = bytearray(path.read_bytes())
    sides = {".bmp": "<II", ".gif": "<HH", ".jpg": ">HH"}
    if suffix in sides:
        place = {".bmp": 18, ".gif": 6, ".jpg": content.find(b"\xff\xc0") + 5}[suffix]
        struct.pack_into(sides[suffix], content, place, side, side)
    elif suffix == ".webp":  # VP8L has 14 bits a side: the largest
        struct.pack_into("<I", content, 21, 16383 | 16383 << 14)
    elif suffix == ".avif":
        struct.pack_into(">II", content, content.index(b"ispe") + 8, 15000, 15000)  # libavif itself ends at 16384²
    else:
        for tag in (256, 257):  # type 4, LONG
            place = next(i for i in range(8, len(content), 2) if content[i : i + 2] == struct.pack("<H", tag))
            struct.pack_into("<HHII", content, place, tag, 4, 1, side)
    path.write_bytes(content)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".gif", ".jpg", ".webp", ".tif", ".avif"])
def test_claims_of_huge_sizes_are_refused_by_the_header(tmp_path: Path, suffix: str) -> None:
    _bomb(tmp_path / f"bomb{suffix}")
    with pytest.raises(PhotoError, match=r"more than the (limit of 200|179 megapixels that Pillow).*--max-megapixels"):
        load(tmp_path / f"bomb{suffix}")


@pytest.mark.parametrize("kind", ["profile", "text"])
def test_chunks_that_unpack_to_gigabytes_are_not_unpacked(tmp_path: Path, kind: str) -> None:
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(200)) + packer.flush()  # 200 MB in 200 kB
    part = {"profile": (b"iCCP", b"x\0\0" + packed), "text": (b"zTXt", b"x\0\0" + packed)}[kind]
    Image.new("RGB", (16, 16)).save(tmp_path / "photo.png")
    content = (tmp_path / "photo.png").read_bytes()
    (tmp_path / "bomb.png").write_bytes(content[:33] + chunk(*part) + content[33:])
    command = [sys.executable, "-c", _PEAK_OF_LOADING, str(tmp_path / "bomb.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300


_PEAK_OF_LOADING = """
import sys
from pathlib import Path
from mimdit.benchmarks.loading import peak_memory
from mimdit.errors import MimditError
from mimdit.image import load
try:
    load(Path(sys.argv[1]))
except MimditError:
    pass
print((peak_memory() or 0) // 2**20)
"""


def test_a_strip_of_a_tiff_is_unpacked_to_its_own_size_only(tmp_path: Path) -> None:
    """A float TIFF of 16 px whose one strip holds 100 MB of zeros."""
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "bomb.tif"
    tifffile.imwrite(path, np.zeros((16, 16, 3), np.float32), photometric="rgb", compression="zlib")
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(100)) + packer.flush()
    content = bytearray(path.read_bytes())
    place = next(i for i in range(8, len(content), 2) if content[i : i + 4] == struct.pack("<HH", 279, 4))
    struct.pack_into("<I", content, place + 8, len(packed))
    place = next(i for i in range(8, len(content), 2) if content[i : i + 4] == struct.pack("<HH", 273, 4))
    struct.pack_into("<I", content, place + 8, len(content))
    path.write_bytes(bytes(content) + packed)
    assert load(path).pixels.shape == (16, 16, 3)
