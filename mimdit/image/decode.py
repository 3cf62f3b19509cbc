"""A Pillow image of up to 8 bits → arrays."""

import io
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mimdit.errors import PhotoError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Decoded", "from_samples", "pillow_pixels"]

_ROWS = 256  # copied at a time: Pillow holds 4 bytes a pixel, and hands out copies


class Decoded(NamedTuple):
    """pixels u8, u16 or f32 [H,W,3], for grey one channel seen three times; alpha [H,W] of the same dtype, or None."""

    pixels: np.ndarray
    grey: bool
    alpha: np.ndarray | None
    icc: bytes | None = None
    notes: tuple[str, ...] = ()


def from_samples(samples: np.ndarray, has_alpha: bool) -> Decoded:
    """[H,W,C] with C 1 to 4, the last one alpha or not → pixels and alpha."""
    alpha = np.ascontiguousarray(samples[..., -1]) if has_alpha else None
    colours = samples[..., :-1] if has_alpha else samples
    grey = colours.shape[-1] == 1
    pixels = np.broadcast_to(colours, (*colours.shape[:2], 3)) if grey else np.ascontiguousarray(colours)
    return Decoded(pixels, grey, alpha)


def pillow_pixels(image: "Image") -> Decoded:
    """The pixels as they are stored, CMYK as sRGB. Raises PhotoError for a mode that is no photo's."""
    icc = image.info.get("icc_profile") or None
    if image.mode == "CMYK":
        image = _without_inks(image, icc)
        note = "printing colours (CMYK) became sRGB, which is what the result holds"
        return from_samples(_array(image, 3), False)._replace(notes=(note,))
    mode = _restorable_mode(image)
    if image.mode != mode:
        image = image.convert(mode)
    samples = _array(image, len(mode))
    return from_samples(samples, mode.endswith("A"))._replace(icc=icc)


def _restorable_mode(image: "Image") -> str:
    """L, LA, RGB or RGBA: what the pixels are converted to without loss. Raises PhotoError where that cannot be."""
    if image.mode in ("1", "L", "LA"):
        colour = "L"
    elif image.mode in ("P", "PA", "RGB", "RGBA", "RGBX", "YCbCr"):
        colour = "RGB"
    else:
        raise PhotoError(f"is {image.mode}, not RGB, grey or CMYK: convert it to sRGB")
    return colour + ("A" if image.has_transparency_data else "")


def _array(image: "Image", channels: int) -> np.ndarray:
    """u8[H,W,C], filled strip by strip."""
    image.load()  # turns a TIFF upright, and its sides with it
    samples = np.empty((image.height, image.width, channels), np.uint8)
    for top in range(0, image.height, _ROWS):
        bottom = min(top + _ROWS, image.height)
        part = np.asarray(image.crop((0, top, image.width, bottom)))
        samples[top:bottom] = part.reshape(bottom - top, image.width, channels)
    return samples


def _without_inks(image: "Image", icc: bytes | None) -> "Image":
    """CMYK → sRGB by the file's own profile, without one as if inks were pure."""
    from PIL import ImageCms

    if icc is not None:
        try:
            inks = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            converted = ImageCms.profileToProfile(image, inks, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError):
            pass  # a damaged profile, or one of another colour model
    return image.convert("RGB")
