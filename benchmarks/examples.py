"""Makes the example photos that `mimdit demo` restores: CC0 photos kept out of training, degraded with fixed seeds.

    python -m mimdit.benchmarks.examples PHOTOS

PHOTOS is the folder of training photos; the three used here belong to its validation part.
"""

import json
from io import BytesIO
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

import mimdit
from mimdit import degrade
from mimdit.files import write_file
from mimdit.script import run
from mimdit.targets import Variant

OUT = Path(mimdit.__file__).parent / "examples"
SIZE = (480, 320)  # px
JUNIPER, LAKE, MOON = "012_Pablo_Garcia_Saldana", "053_sean-afnan-244576", "066_nasa-45068"
NAMES = {JUNIPER: "juniper", LAKE: "lake", MOON: "moon"}
CREDITS = {
    JUNIPER: "Pablo Garcia Saldaña, CC0",
    LAKE: "Sean Afnan, CC0",
    MOON: "NASA, public domain",
}
PAIRS: tuple[tuple[str, Variant], ...] = (
    (JUNIPER, "denoise"),
    (LAKE, "dehaze"),
    (JUNIPER, "lowlight"),
    (LAKE, "derain"),
    (MOON, "deblur"),
    (MOON, "dejpeg"),
)


def main(photos: Annotated[Path, typer.Argument(help="The training photos.")]) -> None:
    """Write the example photos."""
    examples = []
    for number, (stem, variant) in enumerate(PAIRS):
        truth = _reduced(photos / f"{stem}.jpg")
        degraded = _degraded(truth, variant, np.random.default_rng(number))
        name = NAMES[stem]
        _write(OUT / f"{name}.png", truth)
        _write(OUT / f"{name}-{variant}.png", degraded)
        examples.append(
            {
                "name": f"{name}, {variant}",
                "degraded": f"{name}-{variant}.png",
                "truth": f"{name}.png",
                "variant": variant,
                "credit": CREDITS[stem],
            }
        )
    listing = json.dumps(examples, indent=2, ensure_ascii=False) + "\n"
    write_file(OUT / "examples.json", listing.encode(), overwrite=True)


def _reduced(path: Path) -> np.ndarray:
    """The photo, cut to 3:2 and reduced to SIZE: f32[320,480,3]."""
    with Image.open(path) as file:
        photo = file.convert("RGB")
    width, height = photo.size
    cut = min(width // 3, height // 2)
    left, top = (width - 3 * cut) // 2, (height - 2 * cut) // 2
    small = photo.resize(SIZE, Image.Resampling.LANCZOS, (left, top, left + 3 * cut, top + 2 * cut))
    return np.asarray(small, np.float32) / 255


def _degraded(truth: np.ndarray, variant: Variant, rng: np.random.Generator) -> np.ndarray:
    if variant == "denoise":
        return degrade.gaussian_noise(truth, 25, rng)
    if variant == "dehaze":
        return degrade.haze(truth, 1.4, (0.88, 0.9, 0.92), rng)
    if variant == "lowlight":
        return degrade.degrade(truth, "lowlight", rng).image
    if variant == "derain":
        return degrade.degrade(truth, "rain", rng).image
    if variant == "deblur":
        return degrade.gaussian_noise(degrade.defocus_blur(truth, 2.0), 2, rng)
    return degrade.jpeg(truth, 12)


def _write(path: Path, photo: np.ndarray) -> None:
    file = BytesIO()
    Image.fromarray((degrade.eight_bits(photo) * 255 + 0.5).astype(np.uint8)).save(file, "PNG", optimize=True)
    write_file(path, file.getvalue(), overwrite=True)


if __name__ == "__main__":
    run(main)
