"""No 8-bit bottleneck: what goes in with 16 bits or as float comes out so, in every layout; grey and alpha too."""

import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from mimdit.bundle import open_bundle, write_bundle
from mimdit.errors import PhotoError
from mimdit.image import Photo, load, save
from mimdit.runtimes.restore import Restorer

from .crafted_png import write_png
from .small import fill_small, small_manifest

RNG = np.random.default_rng(0)


def _samples(channels: int, dtype: type, height: int = 37, width: int = 53) -> np.ndarray:
    unit = RNG.random((height, width, channels), np.float32)
    return unit if dtype is np.float32 else np.rint(unit * np.iinfo(dtype).max).astype(dtype)


def _photo(samples: np.ndarray) -> Photo:
    channels = samples.shape[-1]
    colours = samples[..., : channels - (channels + 1) % 2]
    alpha = samples[..., -1] if channels % 2 == 0 else None
    return Photo(np.broadcast_to(colours, (*samples.shape[:2], 3)), channels < 3, alpha)


def _same(one: Photo, other: Photo) -> bool:
    if one.alpha is None or other.alpha is None:
        same_alpha = one.alpha is other.alpha
    else:
        same_alpha = one.alpha.dtype == other.alpha.dtype and np.array_equal(one.alpha, other.alpha)
    same = one.pixels.dtype == other.pixels.dtype and np.array_equal(one.pixels, other.pixels)
    return same and one.grey == other.grey and same_alpha


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_depth_comes_back_to_the_bit(tmp_path: Path, channels: int, dtype: type) -> None:
    photo = _photo(_samples(channels, dtype))
    for suffix in (".tif",) if dtype is np.float32 else (".tif", ".png"):
        path = tmp_path / f"photo{suffix}"
        assert save(photo, path) == ()
        assert _same(load(path), photo)


def test_a_gradient_of_16_bits_passes_a_restoration(tmp_path: Path) -> None:
    """Every one of 65536 levels, through a bundle that returns its tiles: file, float tiles, file."""
    manifest = small_manifest(("denoise",), dispatcher=False)
    write_bundle(tmp_path / "one.mimdit", manifest, partial(fill_small, manifest))
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1).repeat(3, 2)
    save(Photo(ramp), tmp_path / "in.png")
    photo = load(tmp_path / "in.png")
    restored = Restorer(open_bundle(tmp_path / "one.mimdit")).restore(photo.working(), "denoise")
    save(photo.with_working(restored.pixels), tmp_path / "out.tif")
    assert np.array_equal(load(tmp_path / "out.tif").pixels, ramp)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_png_of_strangers(tmp_path: Path, channels: int, interlaced: bool) -> None:
    samples = _samples(channels, np.uint16)
    write_png(tmp_path / "photo.png", samples, 16, interlaced=interlaced)
    assert _same(load(tmp_path / "photo.png"), _photo(samples))


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_png_of_few_bits(tmp_path: Path, bits: int, interlaced: bool) -> None:
    samples = RNG.integers(0, 2**bits, (37, 53, 1)).astype(np.uint16)
    write_png(tmp_path / "grey.png", samples, bits, interlaced=interlaced)
    grey = load(tmp_path / "grey.png")
    assert grey.grey
    assert np.array_equal(grey.pixels[..., :1], samples * (255 // (2**bits - 1)))
    palette = RNG.integers(0, 256, (2**bits, 3), np.uint8)
    write_png(tmp_path / "palette.png", samples, bits, interlaced=interlaced, palette=palette.tobytes())
    assert np.array_equal(load(tmp_path / "palette.png").pixels, palette[samples[..., 0]])


def test_a_clear_colour_of_16_bits_becomes_alpha(tmp_path: Path) -> None:
    samples = _samples(3, np.uint16)
    clear = samples[3, 4].astype(">u2").tobytes()
    write_png(tmp_path / "photo.png", samples, 16, chunks={b"tRNS": clear})
    alpha = load(tmp_path / "photo.png").alpha
    assert alpha is not None
    assert alpha.dtype == np.uint16
    assert np.argwhere(alpha == 0).tolist() == [[3, 4]]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("tile", [None, (32, 16)])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_tiff_layouts(tmp_path: Path, dtype: type, tile: tuple[int, int] | None, planar: bool, order: str) -> None:
    tifffile = pytest.importorskip("tifffile")
    samples = _samples(3, dtype)
    for compression, predictor in ((None, False), ("zlib", False), ("zlib", dtype is np.uint16)):
        tifffile.imwrite(
            tmp_path / "photo.tif",
            samples.transpose(2, 0, 1) if planar else samples,
            photometric="rgb",
            planarconfig="separate" if planar else "contig",
            tile=tile,
            byteorder=order,
            compression=compression,
            predictor=predictor or None,
        )
        assert _same(load(tmp_path / "photo.tif"), _photo(samples))


def test_tiff_of_half_floats_lzw_and_a_white_zero(tmp_path: Path) -> None:
    tifffile, cv2 = pytest.importorskip("tifffile"), pytest.importorskip("cv2")
    path = tmp_path / "photo.tif"
    half = _samples(3, np.float32).astype(np.float16)
    tifffile.imwrite(path, half, photometric="rgb")
    assert _same(load(path), _photo(half.astype(np.float32)))
    deep = _samples(3, np.uint16)
    cv2.imwrite(str(path), deep[..., ::-1])  # compressed by LZW
    assert _same(load(path), _photo(deep))
    tifffile.imwrite(path, deep[..., 0], photometric="miniswhite")
    assert _same(load(path), _photo(65535 - deep[..., :1]))


def test_tiff_with_the_predictor_of_floats(tmp_path: Path) -> None:
    """Differences of bytes, highest bytes first: what Photoshop writes. No library here does."""
    samples = _samples(3, np.float32)
    height, width, channels = samples.shape
    planes = samples.astype(">f4").view(np.uint8).reshape(height, width * channels, 4).swapaxes(1, 2)
    steps = planes.reshape(height, -1, channels)
    packed = zlib.compress(np.diff(steps, axis=1, prepend=np.zeros_like(steps[:, :1])).tobytes())
    ifd = ImageFileDirectory_v2(b"II*\0\x08\0\0\0")
    tags = {256: width, 257: height, 258: (32,) * 3, 259: 8, 262: 2, 273: 0, 277: 3, 278: height, 279: len(packed)}
    for tag, value in {**tags, 317: 3, 339: (3,) * 3}.items():
        ifd[tag] = value
    with (tmp_path / "photo.tif").open("wb") as file:
        ifd.save(file)
        file.write(packed)
    assert _same(load(tmp_path / "photo.tif"), _photo(samples))


def test_associated_alpha_is_divided_out(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    straight = np.full((20, 30, 4), 40000, np.uint16)
    straight[..., 3] = np.linspace(1000, 65535, 30)
    share = straight[..., 3:] / 65535
    premultiplied = np.concatenate([np.rint(straight[..., :3] * share), straight[..., 3:]], -1).astype(np.uint16)
    tifffile.imwrite(tmp_path / "photo.tif", premultiplied, photometric="rgb", extrasamples=["assocalpha"])
    photo = load(tmp_path / "photo.tif")
    assert photo.alpha is not None
    assert np.array_equal(photo.alpha, straight[..., 3])
    assert np.abs(photo.pixels.astype(int) - 40000).max() <= 40  # what 1000 levels of alpha leave


def test_first_page_and_first_frame_are_taken_with_a_word(tmp_path: Path) -> None:
    one, two = (Image.fromarray(_samples(3, np.uint8)) for _ in range(2))
    for suffix, word in ((".tif", "pages"), (".gif", "frames"), (".webp", "frames"), (".png", "frames")):
        path = tmp_path / f"photo{suffix}"
        one.save(path, save_all=True, append_images=[two])
        (note,) = load(path).notes
        assert word in note
        one.save(path)
        assert load(path).notes == ()


def test_what_8_bits_cannot_hold_is_said(tmp_path: Path) -> None:
    photo = _photo(_samples(3, np.uint16))
    for suffix in (".jpg", ".webp", ".bmp"):
        (note,) = save(photo, tmp_path / f"photo{suffix}")
        assert "8 bits" in note


def test_integers_of_32_bits_and_nan_are_refused(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "int.tif", np.zeros((4, 4, 3), np.uint32), photometric="rgb")
    with pytest.raises(PhotoError, match="32-bit integers"):
        load(tmp_path / "int.tif")
    with pytest.raises(PhotoError, match="not a number"):
        Photo(np.full((4, 4, 3), np.nan, np.float32)).working()


def test_floats_beyond_one_come_back(tmp_path: Path) -> None:
    photo = Photo(np.linspace(-0.5, 4, 60, dtype=np.float32).reshape(4, 5, 3))
    working = photo.working()
    assert (working.min(), working.max()) == (0, 1)
    assert np.array_equal(photo.with_working(working).pixels, photo.pixels)
