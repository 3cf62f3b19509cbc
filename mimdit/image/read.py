"""Photo file → `Photo`: the format by its content, the size before any pixel, then pixels, colours, metadata."""

import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from mimdit.errors import MissingPackageError, PhotoError
from mimdit.image import exif as exif_block
from mimdit.image import heif, icc, ifd, png, raw, tiff
from mimdit.image import xmp as packet
from mimdit.image.colour import is_exact
from mimdit.image.decode import Decoded, from_samples, pillow_pixels
from mimdit.image.formats import FORMATS, sniff
from mimdit.image.photo import Photo
from mimdit.image.tiff_writer import LAYOUT

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["MAX_MEGAPIXELS", "load"]

MAX_MEGAPIXELS = 200
_PILLOW_MEGAPIXELS = 179  # twice PIL.Image.MAX_IMAGE_PIXELS, which is global and thus not ours to change
_IPTC_RESOURCE = 0x0404  # of Photoshop's resources in a JPEG
_ORIENTATION = 274
_PNG_XMP = "XML:com.adobe.xmp"
_FIRST_ONLY = "of several {} only the first was restored"

CheckSize = Callable[[int, int], None]  # (width, height); raises PhotoError


def load(path: Path, *, max_megapixels: float = MAX_MEGAPIXELS, admit: CheckSize = lambda width, height: None) -> Photo:
    """Reads a photo file. Raises PhotoError, one line, for whatever cannot be read, MissingPackageError.

    `admit` hears of the size before any pixel is allocated; it may wait, or refuse by a PhotoError.
    """

    def check_size(width: int, height: int) -> None:
        _check_size(width, height, max_megapixels)
        admit(width, height)

    from PIL.Image import DecompressionBombError

    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata; what matters is raised
            return _decode(file, path.suffix, check_size)
    except PhotoError as error:
        raise PhotoError(f"{path}: {error}") from None
    except MissingPackageError as error:
        raise PhotoError(f"{path}: cannot be read here; {error}") from None
    except FileNotFoundError:
        raise PhotoError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise PhotoError(f"{path}: expected a photo, found a folder") from None
    except PermissionError:
        raise PhotoError(f"{path}: may not be read: check its permissions") from None
    except DecompressionBombError:
        raise PhotoError(
            f"{path}: has more than the {_PILLOW_MEGAPIXELS} megapixels that Pillow decodes of such a file, whatever "
            "--max-megapixels says: reduce it"
        ) from None
    except Exception as error:  # on damaged files decoders raise whatever their arithmetic ends in
        raise PhotoError(f"{path}: is damaged ({one_line(error)}): get a whole copy") from error


def one_line(error: Exception) -> str:
    """The first line of what an error says, printable; its type where it says nothing."""
    said = error.args[0] if error.args else ""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(error)  # LibRaw speaks bytes
    text = text.splitlines()[0] if text else type(error).__name__
    return "".join(character if character.isprintable() else "?" for character in text)[:200]


def _check_size(width: int, height: int, limit: float) -> None:
    megapixels = width * height / 1e6
    if megapixels > limit:
        raise PhotoError(
            f"has {megapixels:.0f} megapixels, more than the limit of {limit:g}: reduce it, or raise --max-megapixels"
        )


def _decode(file: BinaryIO, suffix: str, check_size: CheckSize) -> Photo:
    start = file.read(64)
    if not start:
        raise PhotoError("is empty")
    name = sniff(start, suffix)
    if name is None:
        known = ", ".join(format.name for format in FORMATS)
        raise PhotoError(f"is no photo that can be read ({known})")
    if name == "HEIF":
        decoded, info = heif.read(file, check_size)
        return _photo(decoded, exif=info.get("exif"), xmp=info.get("xmp"), turned=True)
    if name == "RAW":
        return _photo(raw.read(file, check_size), exif=_tiff_exif(file), turned=True)
    if name == "TIFF":
        return _tiff(file, check_size)
    image = _open(file, name)
    check_size(image.width, image.height)
    others = _other_pictures(image, name)
    decoded = _png(file, image) if name == "PNG" else pillow_pixels(image)
    if name == "AVIF" and b"av1C" in (head := _head(file)) and head[head.index(b"av1C") + 6] & 0x40:
        others += ("its more than 8 bits a channel were read as 8",)
    info = image.info
    iptc = info.get("photoshop", {}).get(_IPTC_RESOURCE) if name == "JPEG" else None
    exif = info.get("exif") or _legacy_exif(image)
    return _photo(
        decoded._replace(notes=decoded.notes + others), exif=exif, xmp=info.get("xmp") or info.get(_PNG_XMP), iptc=iptc
    )


def _open(file: BinaryIO, name: str) -> "Image":
    """Reads the header. Image.open would do, but for its own limit of 179 megapixels, which is a global to be set."""
    from PIL import Image

    Image.preinit()
    if name not in Image.OPEN:
        Image.init()  # WebP and AVIF are not among the formats that preinit loads
    if name not in Image.OPEN:
        raise PhotoError(f"is {name}, which the installed Pillow cannot read: install a newer one")
    file.seek(0)
    return Image.OPEN[name][0](file, "")


def _png(file: BinaryIO, image: "Image") -> Decoded:
    chunks = png.read_chunks(file, pixels=png.is_deep(image))
    if png.is_deep(image):
        decoded = from_samples(png.read_deep(chunks), has_alpha=png.has_alpha(chunks))
    else:
        file.seek(0)
        decoded = pillow_pixels(image)
    return decoded._replace(icc=png.colours(chunks, image.info.get("icc_profile") or None))


def _tiff(file: BinaryIO, check_size: CheckSize) -> Photo:
    page = tiff.first_page(file)
    check_size(page.number(tiff.WIDTH), page.number(tiff.HEIGHT))
    if tiff.is_deep(page):
        samples, has_alpha, turned = tiff.read_deep(file, page)
        decoded = from_samples(samples, has_alpha)._replace(icc=page.content(tiff.ICC))
    else:
        decoded, turned = pillow_pixels(_open(file, "TIFF")), True
    notes = (*decoded.notes, *((_FIRST_ONLY.format("pages"),) if page.more else ()))
    return _photo(
        decoded._replace(notes=notes),
        exif=_tiff_exif(file),
        xmp=page.content(tiff.XMP),
        iptc=page.content(tiff.IPTC),
        turn=page.number(_ORIENTATION, 1),
        turned=turned,
    )


def _photo(
    decoded: Decoded,
    *,
    exif: bytes | None = None,
    xmp: bytes | str | None = None,
    iptc: bytes | None = None,
    turn: int | None = None,
    turned: bool = False,
) -> Photo:
    """Turned upright, the metadata saying so, the profile known. turn: what the file says beside its EXIF."""
    exif = exif_block.MARKER + exif.removeprefix(exif_block.MARKER) if exif else None
    xmp = xmp.encode() if isinstance(xmp, str) else xmp or None
    notes, icc_profile = decoded.notes, decoded.icc
    turn = 1 if turned else turn or (exif_block.orientation(exif) if exif else packet.orientation(xmp) if xmp else 1)
    turn = turn if turn in range(1, 9) else 1
    pixels = upright(decoded.pixels, turn)
    alpha = None if decoded.alpha is None else upright(decoded.alpha, turn)
    if icc_profile is None and exif and exif_block.is_adobe_rgb(exif):
        icc_profile = icc.make("Adobe RGB compatible", *icc.ADOBE_RGB)
    if not is_exact(icc_profile, decoded.grey):
        notes += ("its colour profile cannot be converted to sRGB: the photo was restored in its own values",)
    if exif:
        exif = exif_block.reset(exif, pixels.shape[1], pixels.shape[0])
    if xmp:
        xmp = packet.reset(xmp)
        if packet.has_gain_map(xmp):
            xmp = packet.without_gain_map(xmp)
            notes += ("its gain map, which brightens it on HDR screens, was dropped",)
    return Photo(pixels, decoded.grey, alpha, icc_profile, exif, xmp, iptc or None, notes)


def upright(pixels: np.ndarray, turn: int) -> np.ndarray:
    """[H,W,…] as EXIF's orientation 1 to 8 wants it to be looked at."""
    if turn in (2, 3, 7, 8):  # mirrored, or turned upside down: columns run the other way
        pixels = pixels[:, ::-1]
    if turn in (3, 4, 6, 7):
        pixels = pixels[::-1]
    if turn >= 5:
        pixels = pixels.swapaxes(0, 1)
    if pixels.strides[-1] == 0:  # grey, one channel seen three times
        return np.broadcast_to(np.ascontiguousarray(pixels[..., :1]), pixels.shape)
    return np.ascontiguousarray(pixels)


def _other_pictures(image: "Image", name: str) -> tuple[str, ...]:
    """What is said of pictures beside the first; none of them is decoded."""
    if name in ("GIF", "WEBP", "AVIF", "PNG") and getattr(image, "is_animated", False):
        image.seek(0)
        return (_FIRST_ONLY.format("frames"),)
    if name == "JPEG" and any(b"urn:iso:std:iso:ts:21496" in content[:40] for content in _segments(image)):
        return ("its gain map, which brightens it on HDR screens, was dropped",)
    if name == "JPEG" and "mp" in image.info:
        return ("pictures behind the first one (a preview, a depth or gain map) were dropped",)
    return ()


def _segments(image: "Image") -> list[bytes]:
    return [content for _, content in getattr(image, "applist", ())]


def _legacy_exif(image: "Image") -> bytes | None:
    """EXIF that PNG files of old hold as a text."""
    return image.getexif().tobytes() if "Raw profile type exif" in image.info else None


def _tiff_exif(file: BinaryIO) -> bytes | None:
    """A TIFF's own tags are its EXIF: those that say what was photographed, as a block. RAW files are TIFF, mostly."""
    file.seek(0)
    if file.read(2) not in (b"II", b"MM"):
        return None
    try:
        directory, _, order = ifd.read_first(file)
    except struct.error:
        return None
    return exif_block.block_of({tag: entry for tag, entry in directory.items() if tag not in LAYOUT}, order)


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(4096)
