"""What a stranger reads from a restored file: exiftool, from Debian's libimage-exiftool-perl, where it is installed."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mimdit.image import Photo, icc, load, save
from mimdit.image.cicp import PRIMARIES

pytestmark = pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")

TAGS = {
    "IFD0:Make": "Foo",
    "IFD0:Copyright": "Jörg",
    "ExifIFD:DateTimeOriginal": "2020:01:02 03:04:05",
    "ExifIFD:ExposureTime": 0.008,
    "ExifIFD:LensModel": "50 mm",
    "ExifIFD:UserComment": "words",
    "GPS:GPSLatitude": 47.5,
    "GPS:GPSLatitudeRef": "N",
    "GPS:GPSDateStamp": "2020:01:02",
    "XMP-dc:Title": "A title",
    "XMP-photoshop:City": "Zürich",
}
IPTC = {"IPTC:By-line": "Mara", "IPTC:Keywords": "words"}


def _read(path: Path) -> dict:
    output = subprocess.run(["exiftool", "-j", "-G1", "-n", str(path)], capture_output=True, check=True).stdout
    return json.loads(output)[0]


def _write(path: Path, tags: dict[str, object]) -> None:
    values = [f"-{name}={value}" for name, value in tags.items()]
    subprocess.run(["exiftool", "-q", "-n", "-overwrite_original", *values, str(path)], check=True)


@pytest.mark.parametrize(
    ("source", "target", "deep"),
    [
        (".jpg", ".jpg", False),
        (".jpg", ".tif", False),
        (".tif", ".png", True),
        (".tif", ".tif", True),
        (".png", ".tif", True),
        (".png", ".webp", False),
    ],
)
def test_a_file_from_exiftool_keeps_what_it_says(
    run, small: Path, tmp_path: Path, source: str, target: str, deep: bool
) -> None:
    before, after = tmp_path / f"in{source}", tmp_path / f"out{target}"
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    photo = Photo(pixels.astype(np.uint16) * 257 if deep else pixels, icc=icc.make("P3", PRIMARIES[12], 2.2))
    save(photo, before)
    tags = TAGS | (IPTC if source in (".jpg", ".tif") else {})
    _write(before, {**tags, "IFD0:Orientation": 6})
    assert run("restore", before, "-o", after, "--bundle", small, "--variant", "denoise").code == 0
    said = _read(after)
    kept = tags if target in (".jpg", ".tif") else TAGS
    assert {name: said.get(name) for name in kept} == kept
    assert said.get("IFD0:Orientation", 1) == 1
    assert said["File:ImageWidth" if "File:ImageWidth" in said else _width(said)] == 60
    assert said["ICC_Profile:ProfileDescription"] == "P3"
    assert said["XMP-iptcExt:DigitalSourceType"].endswith("compositeWithTrainedAlgorithmicMedia")
    assert said["XMP-mimdit:Variants"] == '["denoise"]'
    assert not [name for name in said if name.startswith(("ExifTool:Warning", "ExifTool:Error"))], said
    if deep:
        assert load(after).pixels.dtype == np.uint16


def _width(said: dict) -> str:
    return next(name for name in said if name.endswith(":ImageWidth"))
