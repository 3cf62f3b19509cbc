"""What stands beside the pixels: kept, told of the turn, and nothing else in it changed."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from mimdit.image import Photo, exif, load, save, xmp

from .turns import TURNS

RNG = np.random.default_rng(0)
PACKET = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    b' xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" tiff:Orientation="6">'
    b"<dc:creator><rdf:Seq><rdf:li>J\xc3\xb6rg</rdf:li></rdf:Seq></dc:creator>"
    b'</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
IPTC = b"\x1c\x02\x50\x00\x04Mara\x1c\x02\x78\x00\x05words"


def _pixels(height: int = 40, width: int = 60) -> np.ndarray:
    """Smooth, so that JPEG and WebP keep it."""
    small = Image.fromarray(RNG.integers(0, 256, (4, 5, 3), np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def _block(turn: int = 1, thumbnail: bytes | None = None) -> bytes:
    """An EXIF block as cameras write it, a maker's note at its place, a thumbnail behind it."""
    note = b"MAKER" + bytes(range(40))
    entries = [(0x010F, 2, 4, b"Foo\0"), (0x0112, 3, 1, struct.pack("<HH", turn, 0))]
    inner = [(0xA002, 4, 1, struct.pack("<I", 60)), (0xA003, 4, 1, struct.pack("<I", 40))]
    ifd0_end = 8 + 2 + 12 * 3 + 4
    inner_end = ifd0_end + 2 + 12 * 3 + 4
    note_place, ifd1 = inner_end, inner_end + len(note) + len(note) % 2
    entries.append((0x8769, 4, 1, struct.pack("<I", ifd0_end)))
    inner.insert(0, (0x927C, 7, len(note), struct.pack("<I", note_place)))
    block = b"II*\0" + struct.pack("<I", 8) + _ifd(entries, ifd1 if thumbnail else 0) + _ifd(inner, 0)
    block += note + bytes(len(note) % 2)
    if thumbnail:
        place = ifd1 + 2 + 12 * 2 + 4
        second = [(0x0201, 4, 1, struct.pack("<I", place)), (0x0202, 4, 1, struct.pack("<I", len(thumbnail)))]
        block += _ifd(second, 0) + thumbnail
    return exif.MARKER + block


def _ifd(entries: list[tuple[int, int, int, bytes]], following: int) -> bytes:
    body = b"".join(struct.pack("<HHI", tag, kind, count) + value for tag, kind, count, value in entries)
    return struct.pack("<H", len(entries)) + body + struct.pack("<I", following)


def _thumbnail(block: bytes) -> np.ndarray:
    found = Image.Exif()
    found.load(block)
    ifd = found.get_ifd(ExifTags.IFD.IFD1)
    start = len(exif.MARKER) + ifd[0x0201]
    return np.asarray(Image.open(io.BytesIO(block[start : start + ifd[0x0202]])))


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tif", ".png", ".avif"])
def test_upright_and_never_turned_twice(tmp_path: Path, suffix: str, turn: int) -> None:
    path, pixels = tmp_path / f"photo{suffix}", _pixels()
    settings = {".jpg": {"quality": 95, "subsampling": 0}, ".webp": {"lossless": True}}.get(suffix, {})
    if suffix == ".avif":
        settings = {"quality": 95, "subsampling": "4:4:4"}
    Image.fromarray(pixels).save(path, exif=_block(turn), **settings)
    upright = TURNS[turn](pixels).astype(int)
    for _ in range(2):  # as it came, and as we wrote it
        photo = load(path)
        assert photo.pixels.shape == upright.shape
        assert np.abs(photo.pixels - upright).mean() < 3
        save(photo, path, overwrite=True)
    with Image.open(path) as written:
        assert written.getexif().get(ExifTags.Base.Orientation, 1) == 1
        assert written.size == upright.shape[1::-1]


def test_deep_tiff_is_turned_by_hand_and_by_pillow(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    for dtype in (np.uint16, np.float32):
        samples = RNG.integers(0, 255, (20, 30, 3)).astype(dtype)
        for turn, upright in TURNS.items():
            tag = (274, "H", 1, turn, True)
            tifffile.imwrite(tmp_path / "photo.tif", samples, photometric="rgb", extratags=[tag])
            assert np.array_equal(load(tmp_path / "photo.tif").pixels, upright(samples)), (dtype, turn)


def test_a_turn_that_only_xmp_knows(tmp_path: Path) -> None:
    Image.fromarray(_pixels()).save(tmp_path / "photo.jpg", xmp=PACKET)
    photo = load(tmp_path / "photo.jpg")
    assert photo.pixels.shape == (60, 40, 3)
    assert photo.xmp == PACKET.replace(b'Orientation="6"', b'Orientation="1"')


@pytest.mark.parametrize("order", ["II", "MM"])
def test_only_what_must_change_changes(order: str) -> None:
    block = _block(6)
    if order == "MM":
        found = Image.Exif()
        found.load(block)
        found.endian = ">"
        block = found.tobytes()
    reset = exif.reset(block, 40, 60)
    assert exif.orientation(block) == 6
    assert exif.orientation(reset) == 1
    assert len(reset) == len(block)
    assert sum(a != b for a, b in zip(block, reset, strict=True)) <= 3  # the turn, width, height
    assert b"MAKER" + bytes(range(40)) in reset


@pytest.mark.parametrize("length", [50, 100_000])
def test_the_thumbnail_shows_the_result(tmp_path: Path, length: int) -> None:
    """In its place where there is room, behind everything else where there is not, nothing of the old one left."""
    old = b"\xff\xd8OLD" + bytes(b"o" * (min(length, 20_000) - 5))
    photo = Photo(_pixels(400, 600), exif=_block(1, old))
    save(photo, tmp_path / "photo.jpg")
    written = load(tmp_path / "photo.jpg")
    assert written.exif is not None
    assert b"OLD" not in written.exif
    assert b"MAKER" + bytes(range(40)) in written.exif
    small = _thumbnail(written.exif)
    assert small.shape == (107, 160, 3)
    assert np.abs(small.mean((0, 1)) - photo.pixels.mean((0, 1))).max() < 4


def test_a_block_that_leads_nowhere_is_left_alone() -> None:
    whole = _block(6, b"\xff\xd8thumbnail")
    for block in (b"", b"Exif\0\0", b"Exif\0\0II", exif.MARKER + b"xx*\0" + bytes(20), whole[:30], whole[:60]):
        assert exif.orientation(block) in (1, 6)
        assert len(exif.reset(block, 1, 1)) == len(block)
        assert isinstance(exif.refresh_thumbnail(block, b"new"), bytes)
    for i in range(6, len(whole)):  # each byte once as its worst
        damaged = whole[:i] + b"\xff" + whole[i + 1 :]
        exif.reset(damaged, 1, 1)
        exif.refresh_thumbnail(damaged, b"new" * 50)


@pytest.mark.parametrize("target", [".jpg", ".tif", ".png", ".webp", ".avif"])
@pytest.mark.parametrize("source", [".jpg", ".tif"])
def test_all_three_kinds_survive_where_they_have_a_place(tmp_path: Path, source: str, target: str) -> None:
    save(Photo(_pixels(), exif=_block(), xmp=PACKET, iptc=IPTC), tmp_path / f"in{source}")
    photo = load(tmp_path / f"in{source}")
    notes = save(photo, tmp_path / f"out{target}")
    written = load(tmp_path / f"out{target}")
    assert written.exif is not None
    assert b"Foo" in written.exif
    assert written.xmp is not None
    assert "Jörg".encode() in written.xmp
    keeps_iptc = target in (".jpg", ".tif")
    assert written.iptc == (IPTC if keeps_iptc else None)
    assert any("IPTC" in note for note in notes) != keeps_iptc


def test_16_bits_keep_their_metadata_too(tmp_path: Path) -> None:
    deep = _pixels().astype(np.uint16) * 257
    gps = Image.Exif()
    gps[ExifTags.Base.Make] = "Foo"
    gps.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (1.0, 2.0, 3.0)
    for suffix in (".png", ".tif"):
        path = tmp_path / f"photo{suffix}"
        save(Photo(deep, icc=b"p" * 200, exif=gps.tobytes(), xmp=PACKET), path)
        with Image.open(path) as written:
            assert written.getexif().get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] == (1.0, 2.0, 3.0)
            assert written.info["icc_profile"] == b"p" * 200
        assert load(path).xmp is not None


def test_without_metadata_nothing_of_it_is_in_the_file(tmp_path: Path) -> None:
    photo = Photo(_pixels(), icc=b"p" * 200, exif=_block(), xmp=PACKET, iptc=IPTC).without_metadata()
    for suffix in (".jpg", ".tif", ".png", ".webp", ".avif"):
        save(photo, tmp_path / f"photo{suffix}")
        content = (tmp_path / f"photo{suffix}").read_bytes()
        assert not any(word in content for word in (b"Foo", b"MAKER", b"Mara", b"rdf:RDF"))


def test_metadata_too_long_for_jpeg_is_left_out_with_a_word(tmp_path: Path) -> None:
    photo = Photo(_pixels(), xmp=PACKET + b" " * 70_000, exif=_block(1, bytes(70_000)))
    notes = save(photo, tmp_path / "photo.jpg")
    assert [note for note in notes if "XMP" in note]
    assert [note for note in notes if "EXIF" in note]
    assert load(tmp_path / "photo.jpg").pixels.shape == photo.pixels.shape


def test_a_gain_map_is_dropped_with_a_word(tmp_path: Path) -> None:
    """Ultra HDR: a second JPEG behind the first, announced in XMP."""
    words = b' xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"'
    directory = b'<Container:Directory><rdf:Seq><rdf:li Item:Mime="image/jpeg"/></rdf:Seq></Container:Directory>'
    packet = PACKET.replace(b' tiff:Orientation="6">', words + b">" + directory)
    path = tmp_path / "photo.jpg"
    Image.fromarray(_pixels()).save(path, xmp=packet, quality=95)
    second = io.BytesIO()
    Image.fromarray(_pixels()[..., 0]).save(second, "JPEG")
    path.write_bytes(path.read_bytes() + second.getvalue())
    photo = load(path)
    assert "gain map" in photo.notes[0]
    assert photo.xmp is not None
    assert not xmp.has_gain_map(photo.xmp)
    assert "Jörg".encode() in photo.xmp


def test_pictures_behind_the_first_are_told_of(tmp_path: Path) -> None:
    first, second = Image.fromarray(_pixels()), Image.fromarray(_pixels())
    first.save(tmp_path / "photo.jpg", "MPO", save_all=True, append_images=[second])
    assert "behind the first" in load(tmp_path / "photo.jpg").notes[0]
