"""The identity bundle: decode, tile, runtime, blend and encode give an 8-bit PNG back bit for bit."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mimdit.cli import _app
from mimdit.export import EXPORTERS


def _run(*arguments: object) -> None:
    shown = CliRunner().invoke(_app, [str(argument) for argument in arguments])
    assert shown.exit_code == 0, shown.output


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_an_8_bit_png_comes_back_bit_for_bit(target: str, tmp_path: Path) -> None:
    """Of a photo of several tiles, which the whole-photo view is held against, and of a bundle of two tile sizes."""
    converter = next(converter for converter in EXPORTERS if converter.target == target)
    if missing := converter.missing():
        pytest.skip(f"{missing[0]} is not installed")
    bundle, photo, restored = tmp_path / "same.mimdit", tmp_path / "photo.png", tmp_path / "restored.png"
    _run("build", "--identity", "--target", target, "--tile", "64,128", "-o", bundle)

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (150, 200, 3), dtype=np.uint8)
    pixels[:70] = np.linspace(0, 255, 200, dtype=np.uint8)[:, None]  # a ramp, and black and white at its ends
    Image.fromarray(pixels).save(photo)
    for size in ((), ("--variant", "general")):
        _run("restore", photo, "-o", restored, "--bundle", bundle, "--overwrite", *size)
        assert np.array_equal(np.asarray(Image.open(restored)), pixels)


def test_either_models_or_identity() -> None:
    shown = CliRunner().invoke(_app, ["build", "-o", "x.mimdit"])
    assert shown.exit_code == 2
    assert "--identity" in shown.output
