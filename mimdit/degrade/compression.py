"""JPEG compression, by the library that writes most of the world's JPEG files."""

from io import BytesIO

import numpy as np
from PIL import Image

from mimdit.degrade.light import Array, to_bytes
from mimdit.degrade.step import Step


def jpeg(photo: Array, quality: int, *, chroma_halved: bool = True) -> Array:
    """Encoded f32[H,W,3] → the photo after one save at `quality` 1..100: values k/255.

    `chroma_halved` stores colour at half resolution (4:2:0), as most encoders do below their top qualities.
    """
    file = BytesIO()
    Image.fromarray(to_bytes(photo)).save(file, "JPEG", quality=quality, subsampling=2 if chroma_halved else 0)
    return np.asarray(Image.open(file), np.float32) / np.float32(255)


def draw_jpeg(rng: np.random.Generator) -> list[Step]:
    """Quality 6..70, mostly low: from heavy blocks to a little ringing; one in five keeps its colour resolution."""
    quality = round(float(np.exp(rng.uniform(np.log(6), np.log(70)))))
    return [jpeg_step(quality, chroma_halved=bool(rng.random() < 0.8))]


def jpeg_step(quality: int, *, chroma_halved: bool) -> Step:
    """One save, as the file stage of a kind that has one."""
    settings = {"quality": quality, "chroma": "4:2:0" if chroma_halved else "4:4:4"}
    return Step("file", settings, lambda photo, rng: jpeg(photo, quality, chroma_halved=chroma_halved))
