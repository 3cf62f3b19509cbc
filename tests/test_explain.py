"""A restored photo tells how it was restored; that can be checked and done again."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mimdit.bundle import open_bundle
from mimdit.errors import PhotoError
from mimdit.image import Photo, load, save
from mimdit.image.provenance import DIGITAL_SOURCE_TYPE, Provenance, read_provenance, with_provenance
from mimdit.runtimes.explain import file_hash
from mimdit.targets import VARIANTS

from .test_metadata import PACKET

pytestmark = pytest.mark.usefixtures("every_change_is_seen")  # the small bundle changes nothing

TOLD = Provenance(
    bundle="0123456789abcdef",
    variants=("dejpeg", "denoise"),
    target="onnx",
    precision="fp32",
    unit="cpu",
    tile=256,
    overlap=32,
    strength=0.5,
    window=(1, 2, 3, 4),
    scores={"denoise": 0.75, "dejpeg": 0.9},
    input_sha256="ab" * 32,
    mimdit='0.1 <&"> dev',
)


def _photo(packet: bytes | None = None) -> Photo:
    return Photo(np.zeros((8, 8, 3), np.uint8), xmp=packet)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A red photo, which the small bundle's dispatcher takes for a noisy one."""
    path = tmp_path / "in.jpg"
    Image.new("RGB", (100, 80), "red").save(path, xmp=PACKET.replace(b'Orientation="6"', b'Orientation="1"'))
    return path


@pytest.mark.parametrize("packet", [None, PACKET, b"damaged", PACKET.replace(b"rdf:", b"r:").replace(b":rdf", b":r")])
def test_what_is_written_is_read_back_once(packet: bytes | None) -> None:
    photo = with_provenance(_photo(packet), TOLD.model_copy(update={"tile": 64, "window": None}))
    again = with_provenance(photo, TOLD)
    assert read_provenance(again) == TOLD
    assert again.xmp is not None
    assert again.xmp.count(b"<mimdit:tile>") == again.xmp.count(b"xmlns:mimdit=") == 1
    assert again.xmp.count(DIGITAL_SOURCE_TYPE.encode()) == 1
    assert len(again.xmp) <= len(photo.xmp or b"") + 60
    if packet and b"RDF" in packet:
        assert "Jörg".encode() in again.xmp


def test_an_older_word_on_the_source_gives_way() -> None:
    camera = PACKET.replace(
        b"<dc:creator>", b"<Iptc4xmpExt:DigitalSourceType>x</Iptc4xmpExt:DigitalSourceType><dc:creator>"
    )
    told = with_provenance(_photo(camera), TOLD).xmp
    assert told is not None
    assert told.count(b"<Iptc4xmpExt:DigitalSourceType>") == 1


def test_the_packet_stays_xml() -> None:
    from xml.etree import ElementTree

    for packet in (None, PACKET):
        told = with_provenance(_photo(packet), TOLD).xmp
        assert told is not None
        tree = ElementTree.fromstring(told.decode("utf-8-sig"))
        assert tree.find(".//{urn:mimdit:provenance:1#}mimdit").text == TOLD.mimdit  # type: ignore[union-attr]


@pytest.mark.parametrize("damage", [b'"magic"', b"7", b"[", b"[" * 5000, b""])
def test_nonsense_is_one_line(damage: bytes) -> None:
    told = with_provenance(_photo(), TOLD).xmp or b""
    photo = _photo(told.replace(b"[&quot;dejpeg&quot;, &quot;denoise&quot;]", damage))
    with pytest.raises(PhotoError, match=r"^[^\n]*damaged[^\n]*$"):
        read_provenance(photo)
    assert read_provenance(_photo(PACKET)) is None


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_restore_writes_it_into_every_format(run, source: Path, small: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    assert run("restore", source, "-o", out, "--bundle", small).code == 0
    told = read_provenance(load(out))
    assert told is not None
    manifest = open_bundle(small).manifest
    assert (told.bundle, told.variants, told.target) == (manifest.id, ("denoise",), "onnx")
    assert (told.precision, told.unit, told.tile, told.overlap) == ("fp32", "cpu", 64, 16)
    assert told.input_sha256 == file_hash(source)
    assert told.scores is not None
    assert set(told.scores) <= set(VARIANTS)
    assert "Jörg".encode() in (load(out).xmp or b"")


def test_explain_checks_and_does_it_again(run, source: Path, small: Path, tmp_path: Path) -> None:
    out, again = tmp_path / "out.jpg", tmp_path / "again.jpg"
    run("restore", source, "-o", out, "--bundle", small, "--strength", "0.5", "--preview", "10,5,64,32")
    done = run("explain", out, "--bundle", small, "--original", source, "--redo", again, "--json")
    assert done.code == 0
    result = json.loads(done.out)
    assert result["provenance"]["window"] == [5, 10, 32, 64]
    assert all(check["passed"] for check in result["checks"])
    assert result["redo"] == {"max_levels": 0.0, "mean_levels": 0.0}
    assert load(again).pixels.shape == (32, 64, 3)
    assert (
        "done again" in run("explain", out, "--bundle", small, "--original", source, "--redo", tmp_path / "b.jpg").out
    )


def test_explain_finds_another_bundle_and_another_original(run, source: Path, small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    run("restore", source, "-o", out, "--bundle", small)
    told = read_provenance(load(out))
    assert told is not None
    assert run("explain", out, "--bundle", small, "--original", out).code == 1
    forged = with_provenance(load(out), told.model_copy(update={"bundle": "0" * 16}))
    save(replace(forged), out, overwrite=True)
    done = run("explain", out, "--bundle", small)
    assert done.code == 1
    assert "FAILED" in done.out
    assert "does not fit in bundle" in done.err


def test_explain_of_a_photo_that_says_nothing_is_exit_code_2(run, source: Path) -> None:
    assert run("explain", source).code == 2
    assert run("explain", source, "--redo", "x.jpg").code == 2


def test_strip_metadata_leaves_pixels_profile_and_provenance(run, source: Path, small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jpg"
    assert run("restore", source, "-o", out, "--bundle", small, "--strip-metadata").code == 0
    assert "Jörg".encode() not in out.read_bytes()
    assert read_provenance(load(out)) is not None
    dark = tmp_path / "dark.jpg"  # which needs nothing: it is not copied either, its metadata would be
    Image.new("RGB", (30, 30)).save(dark, xmp=PACKET)
    assert run("restore", dark, "-o", tmp_path / "dark2.jpg", "--bundle", small, "--strip-metadata").code == 0
    assert "Jörg".encode() not in (tmp_path / "dark2.jpg").read_bytes()
