"""Photo files: what survives reading and writing, and how bad files end."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from mimdit import image
from mimdit.errors import MimditError, PhotoError

from .turns import TURNS

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()  # made once: it holds the time of day
LOSSLESS = (".png", ".tif", ".bmp")


def _pixels(height: int = 20, width: int = 30, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "Maker"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2020:01:02 03:04:05"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (1.0, 2.0, 3.0)
    return exif.tobytes()


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_formats_keep_every_pixel(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo{suffix}"
    image.save(image.Photo(_pixels()), path)
    assert np.array_equal(image.load(path).pixels, _pixels())


def test_jpeg_is_written_in_full_colour_resolution(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    image.save(image.Photo(_pixels()), path)
    with Image.open(path) as written:
        assert {(layer[1], layer[2]) for layer in written.layer} == {(1, 1)}  # type: ignore[attr-defined]


@pytest.mark.parametrize("target", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("source", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_exif_and_profile_survive_between_formats(tmp_path: Path, source: str, target: str, orientation: int) -> None:
    path, copy = tmp_path / f"in{source}", tmp_path / f"out{target}"
    Image.fromarray(_pixels()).save(path, exif=_exif(orientation), icc_profile=ICC)
    image.save(image.load(path), copy)
    with Image.open(copy) as written:
        exif = written.getexif()
        assert exif.get(ExifTags.Base.Orientation, 1) == 1
        assert exif[ExifTags.Base.Make] == "Maker"
        assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == "2020:01:02 03:04:05"
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] == (1.0, 2.0, 3.0)
        assert written.info["icc_profile"] == ICC
        assert written.size == ((30, 20) if orientation == 1 else (20, 30))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright_once(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(_pixels()).save(path, exif=_exif(orientation))
    upright = TURNS[orientation](_pixels())
    photo = image.load(path)
    assert np.array_equal(photo.pixels, upright)
    image.save(photo, path, overwrite=True)
    assert np.array_equal(image.load(path).pixels, upright)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])  # WebP itself knows no grey
def test_grey_stays_grey(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"grey{suffix}"
    Image.fromarray(_pixels()[..., 0]).save(path)
    photo = image.load(path)
    assert photo.pixels.shape == (20, 30, 3)
    assert photo.grey
    image.save(photo, path, overwrite=True)
    with Image.open(path) as written:
        assert written.mode == "L"


@pytest.mark.parametrize(
    ("mode", "suffix"), [("RGBA", ".png"), ("RGBA", ".webp"), ("RGBA", ".tif"), ("LA", ".png"), ("LA", ".tif")]
)
def test_transparency_is_put_back_to_the_bit(tmp_path: Path, mode: str, suffix: str) -> None:
    channels = _pixels(channels=len(mode))
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(channels, mode).save(path)
    photo = image.load(path)
    assert photo.alpha is not None
    assert np.array_equal(photo.alpha, channels[..., -1])
    image.save(replace(photo, pixels=255 - photo.pixels), path, overwrite=True)
    again = image.load(path)
    assert again.alpha is not None
    assert np.array_equal(again.alpha, channels[..., -1])


def test_palette_with_transparent_colour_becomes_rgb_and_alpha(tmp_path: Path) -> None:
    path = tmp_path / "palette.png"
    palette = Image.fromarray(_pixels()).quantize(8)
    palette.save(path, transparency=0)
    photo = image.load(path)
    assert photo.alpha is not None
    assert set(np.unique(photo.alpha)) == {0, 255}


def test_jpeg_takes_an_opaque_alpha_and_refuses_a_transparent_one(tmp_path: Path) -> None:
    opaque = np.full((20, 30), 255, np.uint8)
    image.save(image.Photo(_pixels(), alpha=opaque), tmp_path / "opaque.jpg")
    with pytest.raises(PhotoError, match=r"no transparency.*choose \.png"):
        image.save(image.Photo(_pixels(), alpha=opaque - 1), tmp_path / "clear.jpg")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["opaque.jpg"]


def test_an_existing_file_is_replaced_only_on_request(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"precious")
    with pytest.raises(MimditError, match="--overwrite"):
        image.save(image.Photo(_pixels()), path)
    assert path.read_bytes() == b"precious"
    image.save(image.Photo(_pixels()), path, overwrite=True)
    assert np.array_equal(image.load(path).pixels, _pixels())


def test_bad_files_end_in_one_line(tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    Image.fromarray(_pixels(200, 300)).save(whole)
    cases = {
        "text.jpg": (b"this is no photo", "no photo that can be read"),
        "empty.png": (b"", "is empty"),
        "half.png": (whole.read_bytes()[:5000], "is damaged"),
        "script.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "no photo that can be read"),
    }
    for name, (content, reason) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(PhotoError, match=reason) as caught:
            image.load(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
    with pytest.raises(PhotoError, match="no such file"):
        image.load(tmp_path / "missing.jpg")
    with pytest.raises(PhotoError, match="found a folder"):
        image.load(tmp_path)


def test_size_is_checked_before_pixels_are_decoded(tmp_path: Path) -> None:
    """A bitmap header that claims 20000 × 20000 pixels and brings none."""
    path = tmp_path / "huge.bmp"
    Image.new("RGB", (1, 1)).save(path)
    header = bytearray(path.read_bytes())
    header[18:26] = (20000).to_bytes(4, "little") * 2
    path.write_bytes(header)
    with pytest.raises(PhotoError, match="400 megapixels, more than the limit of 200"):
        image.load(path)


def test_photos_between_pillows_limit_and_ours_are_read(tmp_path: Path) -> None:
    """190 megapixels of one bit each: Image.open would refuse them."""
    path = tmp_path / "large.png"
    Image.new("1", (19000, 10000)).save(path)
    assert image.load(path).pixels.shape == (10000, 19000, 3)


def test_unknown_suffix_names_the_known_ones() -> None:
    with pytest.raises(PhotoError, match=r"\.jpg .*found \.eps"):
        image.check_suffix(Path("photo.eps"))
