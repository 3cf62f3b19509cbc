"""Colours: profiles read as lcms reads them, and a photo back in its own space without a shift."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from mimdit.image import Photo, cicp, icc, load, save
from mimdit.image.cicp import PRIMARIES, SRGB, Cicp, curve_of
from mimdit.image.colour import ColourSpace, colour_space

from .crafted_png import write_png

RNG = np.random.default_rng(0)
PROPHOTO = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585))
SRGB_CURVE = curve_of(SRGB)
assert SRGB_CURVE is not None
PROFILES = {
    "Display P3": icc.make("Display P3", PRIMARIES[12], SRGB_CURVE),
    "Adobe RGB": icc.make("Adobe RGB", *icc.ADOBE_RGB),
    "ProPhoto": icc.make("ProPhoto", PROPHOTO, 1.8),
    "PQ": icc.of_code_points(Cicp(9, cicp.PQ)) or b"",
    "HLG": icc.of_code_points(Cicp(9, 18)) or b"",
}
PROFILE_OF_SRGB = icc.make("sRGB", PRIMARIES[1], SRGB_CURVE)
LCMS = ImageCms.createProfile("sRGB")


def _space(profile: bytes, grey: bool = False) -> ColourSpace:
    space = colour_space(profile, grey)
    assert space is not None
    return space


def _colours(dtype: type = np.uint8) -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max, (48, 64, 3), dtype, endpoint=True)


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    """The largest ΔE2000 of two sRGB-encoded arrays in 0..1."""
    color = pytest.importorskip("skimage.color")
    return float(color.deltaE_ciede2000(color.rgb2lab(one), color.rgb2lab(other)).max())


@pytest.mark.parametrize("name", ["Display P3", "Adobe RGB", "ProPhoto"])
def test_profiles_mean_what_lcms_takes_them_for(name: str) -> None:
    own = _colours()
    by_lcms = ImageCms.profileToProfile(Image.fromarray(own), io.BytesIO(PROFILES[name]), LCMS)
    ours = np.clip(_space(PROFILES[name]).to_srgb(own), 0, 1)
    assert np.abs(ours * 255 - np.asarray(by_lcms)).max() < 1  # its own rounding, to 8 bits


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
def test_grey_profiles_too(gamma: float) -> None:
    """Written by hand: D50 and one curve. lcms reads grey as grey of sRGB."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    tags = {b"wtpt": icc.make("x", PRIMARIES[1], 2.2)[-20:], b"kTRC": curve}
    profile = _grey_profile(tags)
    own = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, 2)
    ours = _space(profile, grey=True).to_srgb(own)
    expected = np.linspace(0, 1, 256) ** gamma
    expected = np.where(expected <= 0.0031308, 12.92 * expected, 1.055 * expected ** (1 / 2.4) - 0.055)
    assert np.abs(ours[0, :, 1] - expected).max() < 1 / 255


def _grey_profile(tags: dict[bytes, bytes]) -> bytes:
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I12x4s4s12x4s", start + len(body), b"GRAY", b"XYZ ", b"acsp").ljust(128, b"\0")
    return head + struct.pack(">I", len(tags)) + table + body


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", PROFILES)
def test_an_identity_shifts_nothing(tmp_path: Path, name: str, dtype: type) -> None:
    """Through a file and a restoration that returns what it sees: to the bit, in gamut and out."""
    path = tmp_path / "photo.png"
    save(Photo(_colours(dtype), icc=PROFILES[name]), path)
    photo = load(path)
    working = photo.working()
    assert working.dtype == dtype
    back = photo.with_working(working.copy())
    assert np.array_equal(back.pixels, photo.pixels)
    save(back, path, overwrite=True)
    assert load(path).icc == PROFILES[name]


@pytest.mark.parametrize("name", PROFILES)
def test_a_change_arrives_as_the_same_change(name: str) -> None:
    """One that a restoration makes in sRGB, seen in sRGB after the way back: ΔE2000 under 0.5 in gamut."""
    space = _space(PROFILES[name])
    seen = np.rint(RNG.random((48, 64, 3)) * 0.8 * 65535 + 3000).astype(np.uint16) / np.float32(65535)
    own = np.rint(space.from_srgb(seen) * 65535).astype(np.uint16)
    photo = Photo(own, icc=PROFILES[name])
    working = photo.working()
    wanted = np.clip(working + RNG.integers(-2000, 2000, working.shape), 0, 65535).astype(np.uint16)
    result = space.to_srgb(photo.with_working(wanted.copy()).pixels)
    assert _difference(result, wanted / 65535) < 0.5


def test_colours_that_srgb_does_not_hold_are_still_there_after_a_change() -> None:
    own = np.zeros((1, 1, 3), np.uint8)
    own[..., 1] = 250  # Display P3's green
    photo = Photo(own, icc=PROFILES["Display P3"])
    working = photo.working()
    assert working[0, 0, 0] == 0  # less than none
    lighter = photo.with_working(working + np.array([0, 0, 8], np.uint8))
    assert lighter.pixels[0, 0, 1] >= 248


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", PROFILES)
def test_in_place_is_the_same_without_a_copy(name: str, dtype: type) -> None:
    pixels = _colours(dtype)
    photo, other = (Photo(pixels.copy(), icc=PROFILES[name]) for _ in range(2))
    seen, working = photo.in_place(), other.working()
    assert seen is not None
    assert (seen.shape, seen.dtype, len(seen)) == (working.shape, working.dtype, len(working))
    assert np.array_equal(seen[3:9, ::-1], working[3:9, ::-1])
    changed = working ^ dtype(5)
    for row in range(len(working)):
        seen[row : row + 1] = changed[row : row + 1]
    assert np.array_equal(photo.pixels, other.with_working(changed).pixels)


def test_srgb_profiles_cost_nothing() -> None:
    for profile in (ImageCms.ImageCmsProfile(LCMS).tobytes(), PROFILE_OF_SRGB, None):
        photo = Photo(_colours(), icc=profile)
        assert photo.working() is photo.pixels


def test_profiles_of_tables_and_damaged_ones_leave_the_photo_in_its_own_values(tmp_path: Path) -> None:
    for i, profile in enumerate((b"no profile", PROFILES["ProPhoto"][:150], b"x" * 3000)):
        path = tmp_path / f"{i}.png"
        Image.fromarray(_colours()).save(path, icc_profile=profile)
        photo = load(path)
        assert photo.icc == profile
        assert photo.working() is photo.pixels
        assert "own values" in photo.notes[0]


def test_png_names_its_colours_in_four_ways(tmp_path: Path) -> None:
    path, pixels = tmp_path / "photo.png", _colours(np.uint16)
    places = [round(v * 100000) for pair in (PROPHOTO[3], *PROPHOTO[:3]) for v in pair]
    chunks = {
        "gAMA": {b"gAMA": struct.pack(">I", 55556), b"cHRM": struct.pack(">8I", *places)},
        "gAMA of sRGB": {b"gAMA": struct.pack(">I", 45455)},
        "sRGB": {b"sRGB": b"\0", b"gAMA": struct.pack(">I", 55556)},
        "cICP": {b"cICP": bytes([9, 16, 0, 1])},
        "cICP of sRGB": {b"cICP": bytes([1, 13, 0, 1]), b"gAMA": struct.pack(">I", 55556)},
    }
    spaces = {}
    for name, content in chunks.items():
        write_png(path, pixels, 16, chunks=content)
        spaces[name] = colour_space(load(path).icc, False)
    assert [name for name, space in spaces.items() if space is None] == ["gAMA of sRGB", "sRGB", "cICP of sRGB"]
    for name, profile in (("gAMA", "ProPhoto"), ("cICP", "PQ")):
        found, wanted = spaces[name], _space(PROFILES[profile])
        assert found is not None
        assert np.abs(found.to_srgb(pixels) - wanted.to_srgb(pixels)).max() < 1e-3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pq_is_still_said_in_a_chunk_of_its_own(tmp_path: Path, dtype: type) -> None:
    save(Photo(_colours(dtype), icc=PROFILES["PQ"]), tmp_path / "photo.png")
    assert b"cICP" + bytes([9, 16, 0, 1]) in (tmp_path / "photo.png").read_bytes()


def test_cmyk_becomes_srgb_with_a_word(tmp_path: Path) -> None:
    rgb = Image.fromarray(_colours()).resize((8, 8)).resize((64, 48))
    plain, ycck = tmp_path / "cmyk.jpg", tmp_path / "ycck.jpg"
    rgb.convert("CMYK").save(plain, quality=100, subsampling=0)
    inks = np.asarray(rgb.convert("CMYK"))
    cmy = Image.fromarray(np.ascontiguousarray(inks[..., :3])).convert("YCbCr")
    stored = np.concatenate([np.asarray(cmy), 255 - inks[..., 3:]], -1)
    Image.fromarray(255 - stored, "CMYK").save(ycck, quality=100, subsampling=0)
    content = ycck.read_bytes()
    place = content.index(b"Adobe") + 11
    ycck.write_bytes(content[:place] + b"\x02" + content[place + 1 :])
    for path in (plain, ycck):
        photo = load(path)
        assert "CMYK" in photo.notes[0]
        assert np.abs(photo.pixels.astype(int) - np.asarray(rgb)).max() < 12, path.name


def test_jpeg_that_holds_rgb_is_no_ycc(tmp_path: Path) -> None:
    """Adobe's marker with transform 0: the samples are RGB themselves."""
    pixels = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg", quality=100, subsampling=0, keep_rgb=True)
    assert np.abs(load(tmp_path / "photo.jpg").pixels.astype(int) - pixels).max() <= 2


def test_cameras_say_adobe_rgb_without_a_profile(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    block = exif.tobytes()
    Image.fromarray(_colours()).save(tmp_path / "photo.jpg", exif=block)
    profile = load(tmp_path / "photo.jpg").icc
    assert profile is not None
    own = _colours()
    assert np.abs(_space(profile).to_srgb(own) - _space(PROFILES["Adobe RGB"]).to_srgb(own)).max() < 1e-6


COORDINATE = st.floats(0.02, 0.2)  # of blue: a triangle with red and green whatever it is


@settings(max_examples=60, deadline=None)
@given(st.tuples(COORDINATE, COORDINATE), st.floats(1.0, 3.0), st.integers(0, 2**32 - 1), st.booleans())
def test_whatever_the_space_what_is_not_restored_keeps_its_bits(
    blue: tuple[float, float], gamma: float, seed: int, deep: bool
) -> None:
    """Any curve and any third primary: the working space and back is the photo itself."""
    red, green, _, white = PRIMARIES[1]
    dtype = np.uint16 if deep else np.uint8
    pixels = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (5, 7, 3), dtype, endpoint=True)
    photo = Photo(pixels, icc=icc.make("any", (red, green, blue, white), gamma))
    working = photo.working()
    assert working.shape == pixels.shape
    assert np.array_equal(photo.with_working(working.copy()).pixels, pixels)
