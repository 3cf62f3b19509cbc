"""HEIC and RAW: read with their extras, named without them."""

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from mimdit.batch import plan
from mimdit.errors import PhotoError
from mimdit.image import Photo, check_suffix, load, save

from .test_metadata import PACKET


def _ramp(dtype: type) -> np.ndarray:
    """Smooth [60,80,3], so that HEVC keeps it."""
    y, x = np.mgrid[0:60, 0:80] / 80
    unit = np.stack([x, y, 0.5 * x + 0.3 * y], -1)
    return np.rint(unit * np.iinfo(dtype).max).astype(dtype)


def _dng(path: Path, side: int = 64) -> None:
    """A grey wall behind a Bayer mosaic, 12 of 16 bits, turned by 90°: the least that passes for a camera's file."""
    mosaic = np.full((side, side + 32), 1000, "<u2")
    mosaic[::2, ::2] = mosaic[1::2, 1::2] = 500  # red and blue of a sensor that sees green best
    ifd = ImageFileDirectory_v2(b"II*\0\x08\0\0\0")
    rational = [(v, 10000) for v in (10000, 0, 0, 0, 10000, 0, 0, 0, 10000)]
    tags = {254: 0, 256: side + 32, 257: side, 258: 16, 259: 1, 262: 32803, 271: "Foo", 272: "Bar", 273: 0, 274: 6}
    tags |= {277: 1, 278: side, 279: mosaic.nbytes, 284: 1, 33421: (2, 2), 50708: "Foo Bar", 50717: 4095}
    kinds = {33422: (1, bytes((0, 1, 1, 2))), 50706: (1, bytes((1, 4, 0, 0))), 50707: (1, bytes((1, 1, 0, 0)))}
    ifd.tagtype.update({33421: 3, 50708: 2, 50717: 4, 50721: 10, 50728: 5, 50778: 3})
    for tag, value in tags.items():
        ifd[tag] = value
    for tag, (kind, value) in kinds.items():
        ifd.tagtype[tag] = kind
        ifd[tag] = value
    ifd[50721] = tuple(Fraction(*pair) for pair in rational)
    ifd[50728] = tuple(Fraction(n, 2) for n in (1, 2, 1))
    ifd[50778] = 21
    with path.open("wb") as file:
        ifd.save(file)
        file.write(mosaic.tobytes())


def test_heic_of_8_and_of_more_bits(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif")
    for dtype, tolerance in ((np.uint8, 4), (np.uint16, 4 * 257)):
        path = tmp_path / "photo.heic"
        photo = Photo(_ramp(dtype), xmp=PACKET.replace(b'Orientation="6"', b'Orientation="1"'))
        notes = save(photo, path, overwrite=True)
        again = load(path)
        assert again.pixels.dtype == dtype
        assert np.abs(again.pixels.astype(int) - photo.pixels).max() < tolerance
        assert "Jörg".encode() in (again.xmp or b"")
        assert bool(notes) == (dtype == np.uint16)
    assert len(np.unique(again.pixels)) > 256


def test_heic_keeps_alpha_exif_and_profile(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Foo", 1
    alpha = np.full((60, 80), 255, np.uint8)
    alpha[:, 40:] = 0
    save(Photo(_ramp(np.uint8), alpha=alpha, exif=exif.tobytes(), icc=b"p" * 200), tmp_path / "photo.heic")
    photo = load(tmp_path / "photo.heic")
    assert photo.alpha is not None
    assert np.abs(photo.alpha.astype(int) - alpha).max() < 4
    assert b"Foo" in (photo.exif or b"")
    assert photo.icc == b"p" * 200


def test_raw_is_developed_upright_in_16_bits(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    _dng(tmp_path / "photo.dng")
    photo = load(tmp_path / "photo.dng")
    assert photo.pixels.dtype == np.uint16
    assert photo.pixels.shape == (96, 64, 3)
    inner = photo.pixels[8:-8, 8:-8]
    assert inner.mean() > 20000  # a wall of a quarter of the sensor's range, brightened as a camera would
    assert inner.mean((0, 1)).max() < 1.05 * inner.mean((0, 1)).min()  # by its white balance grey is grey
    assert "developed" in photo.notes[0]
    assert b"Bar" in (photo.exif or b"")
    save(photo, tmp_path / "photo.tif")
    with Image.open(tmp_path / "photo.tif") as written:
        assert not {33421, 50706} & set(written.getexif())
    with pytest.raises(PhotoError, match="more than the limit"):
        load(tmp_path / "photo.dng", max_megapixels=0.001)


def test_what_is_only_read_becomes_something_else_in_a_folder(tmp_path: Path) -> None:
    for name in ("one.gif", "two.DNG", "three.jpg"):
        (tmp_path / name).write_bytes(b"")
    outputs = [job.output.name for job in plan([tmp_path], tmp_path / "out") if job.output]
    assert sorted(outputs) == ["one.png", "three.jpg", "two.tif"]
    for name in ("photo.gif", "photo.dng"):
        with pytest.raises(PhotoError, match="read, not written: choose"):
            check_suffix(Path(name))


@pytest.mark.parametrize(
    ("name", "package", "extra"), [("photo.dng", "rawpy", "raw"), ("a.heic", "pillow_heif", "heif")]
)
def test_without_the_package_its_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(PhotoError, match=rf"pip install 'mimdit\[{extra}\]'"):
        load(tmp_path / name)
