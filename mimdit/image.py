"""Photo files ↔ pixels: JPEG, PNG, WebP, TIFF and BMP with 8 bits a channel.

What is not a pixel is kept: ICC profile, EXIF (its orientation applied, then reset), transparency. What was grey is
written grey. BMP has no place for profile and EXIF, JPEG and BMP have none for transparency.
"""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from mimdit.errors import MimditError, PhotoError
from mimdit.files import write_file

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["MAX_MEGAPIXELS", "SUFFIXES", "Photo", "check_suffix", "load", "save"]

# Suffix → Pillow's format. Also the allowlist: nothing else is ever decoded, above all no EPS.
SUFFIXES = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}
MAX_MEGAPIXELS = 200

# 4:4:4, since half-resolution colour would undo part of what was restored.
_SETTINGS = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"quality": 95, "exact": True}}
_WITHOUT_ALPHA = ("JPEG", "BMP")
# TIFF tags that say how its pixels are stored, not what was photographed.
_TIFF_LAYOUT = {254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325}
_TIFF_LAYOUT |= {338, 339, 347, 529, 530, 531, 532, 34675}  # 34675 is the ICC profile, kept apart
_ORIENTATION = 274
_EXIF_MARKER = b"Exif\0\0"


@dataclass(frozen=True)
class Photo:
    """A decoded photo, upright.

    pixels: u8[H,W,3], in the file's own RGB space; a grey photo has three equal channels. alpha: u8[H,W] or None.
    """

    pixels: np.ndarray
    grey: bool = False
    alpha: np.ndarray | None = None
    icc: bytes | None = None
    exif: bytes | None = None

    @property
    def megapixels(self) -> float:
        return self.pixels.shape[0] * self.pixels.shape[1] / 1e6

    def with_pixels(self, pixels: np.ndarray) -> "Photo":
        """The same photo, profile and metadata with other pixels of the same shape."""
        if pixels.shape != self.pixels.shape or pixels.dtype != np.uint8:
            raise ValueError(f"expected uint8{list(self.pixels.shape)}, found {pixels.dtype}{list(pixels.shape)}")
        return replace(self, pixels=pixels)


def load(path: Path) -> Photo:
    """Reads a photo file. Raises PhotoError, one line, for whatever cannot be read."""
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata; what matters is raised
            return _decode(file, path)
    except MimditError:
        raise
    except FileNotFoundError:
        raise PhotoError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise PhotoError(f"{path}: expected a photo, found a folder") from None
    except PermissionError:
        raise PhotoError(f"{path}: may not be read: check its permissions") from None
    except Exception as error:  # on damaged files decoders raise whatever their arithmetic ends in
        raise PhotoError(f"{path}: is damaged ({_one_line(error)}): get a whole copy") from error


def save(photo: Photo, path: Path, *, overwrite: bool = False) -> None:
    """Writes a photo in the format of the suffix: JPEG and WebP at quality 95, JPEG in 4:4:4.

    Missing folders are made; the file appears whole or not at all. Raises MimditError.
    """
    format = check_suffix(path)
    alpha = photo.alpha
    if alpha is not None and format in _WITHOUT_ALPHA:
        if alpha.min() < 255:
            raise PhotoError(f"{path}: {format} holds no transparency, which the photo has: choose .png, .webp or .tif")
        alpha = None
    image = _encode(photo, alpha)
    settings: dict[str, object] = dict(_SETTINGS.get(format, {}))
    if photo.icc:
        settings["icc_profile"] = photo.icc
    if photo.exif:
        settings["exif"] = photo.exif

    def write(file: BinaryIO) -> None:
        try:
            image.save(file, format=format, **settings)
        except (ValueError, TypeError) as error:  # beyond the format: WebP ends at 16383 px, JPEG at 65535 px a side
            raise PhotoError(f"{path}: cannot be written as {format} ({_one_line(error)})") from error

    write_file(path, write, overwrite=overwrite)


def check_suffix(path: Path) -> str:
    """The format that a file name asks for. Raises PhotoError for a suffix that is not one of SUFFIXES."""
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        known = " ".join(SUFFIXES)
        raise PhotoError(f"{path}: expected one of the suffixes {known}, found {path.suffix or 'none'}") from None


def _decode(file: BinaryIO, path: Path) -> Photo:
    from PIL import ImageOps

    image = _open(file, path)
    megapixels = image.width * image.height / 1e6
    if megapixels > MAX_MEGAPIXELS:
        raise PhotoError(f"{path}: has {megapixels:.0f} megapixels, more than the limit of {MAX_MEGAPIXELS}: reduce it")
    mode = _restorable_mode(image, path)
    icc = image.info.get("icc_profile")
    ImageOps.exif_transpose(image, in_place=True)
    exif = _exif(image)
    if image.mode != mode:
        image = image.convert(mode)
    pixels = np.asarray(image)
    alpha = None
    if mode in ("LA", "RGBA"):
        pixels, alpha = pixels[..., :-1], pixels[..., -1]
    grey = mode in ("L", "LA")
    if grey:
        pixels = np.broadcast_to(pixels.reshape(image.height, image.width, 1), (image.height, image.width, 3))
    return Photo(pixels, grey, alpha, icc, exif)


def _open(file: BinaryIO, path: Path) -> "Image":
    """Reads the header. Image.open would do, but for its own limit of 179 megapixels, which is a global to be set."""
    from PIL import Image

    start = file.read(16)
    if not start:
        raise PhotoError(f"{path}: is empty")
    Image.preinit()
    for format in dict.fromkeys(SUFFIXES.values()):
        if format not in Image.OPEN:
            Image.init()  # TIFF and WebP are not among the formats that preinit loads
        opener, accepts = Image.OPEN[format]
        if accepts is not None and accepts(start) is True:
            file.seek(0)
            return opener(file, "")
    raise PhotoError(f"{path}: is no photo that can be read (JPEG, PNG, WebP, TIFF, BMP)")


def _restorable_mode(image: "Image", path: Path) -> str:
    """L, LA, RGB or RGBA: what the pixels are converted to without loss. Raises PhotoError where that cannot be."""
    # A decoder's raw mode tells 16-bit RGB, which Pillow would cut to 8 bits without a word.
    deep = any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))
    if deep or image.mode.startswith(("I", "F")):
        raise PhotoError(f"{path}: has more than 8 bits a channel, which cannot be kept yet: convert it to 8 bits")
    if image.mode in ("1", "L", "LA"):
        colour = "L"
    elif image.mode in ("P", "PA", "RGB", "RGBA", "RGBX"):
        colour = "RGB"
    else:
        raise PhotoError(f"{path}: is {image.mode}, not RGB or grey: convert it to sRGB")
    return colour + ("A" if image.has_transparency_data else "")


def _exif(image: "Image") -> bytes | None:
    """The EXIF block of an upright image, byte for byte where nothing had to be turned."""
    if block := image.info.get("exif"):
        # WebP leaves out the marker, without which JPEG would take the block for something else.
        return block if block.startswith(_EXIF_MARKER) else _EXIF_MARKER + block
    exif = image.getexif()  # TIFF has no block: its own tags are the EXIF
    for tag in _TIFF_LAYOUT | {_ORIENTATION}:
        exif.pop(tag, None)
    return exif.tobytes() if len(exif) else None


def _encode(photo: Photo, alpha: np.ndarray | None) -> "Image":
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(photo.pixels))
    if photo.grey:
        image = image.convert("L")
    if alpha is not None:
        image.putalpha(Image.fromarray(np.ascontiguousarray(alpha)))
    return image


def _one_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
