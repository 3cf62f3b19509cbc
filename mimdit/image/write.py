"""`Photo` → file: the format by the suffix, every depth and all metadata that it has a place for."""

import io
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from mimdit.errors import MimditError, PhotoError
from mimdit.files import write_file
from mimdit.image import exif as exif_block
from mimdit.image import heif, png, tiff_writer
from mimdit.image.formats import Format, check_suffix
from mimdit.image.photo import Photo
from mimdit.image.read import one_line
from mimdit.pixels import from_unit, to_unit

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["save"]

QUALITY = 95
_SEGMENT = 65533  # bytes that one segment of a JPEG holds
_THUMBNAIL = 160  # px, as EXIF has it
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601, as Pillow weighs
_FULL = {8: np.dtype(np.uint8), 10: np.dtype(np.uint16), 16: np.dtype(np.uint16), 32: np.dtype(np.float32)}


def save(
    photo: Photo, path: Path, *, overwrite: bool = False, seal: Callable[[BinaryIO], object] | None = None
) -> tuple[str, ...]:
    """Writes a photo in the format of the suffix: JPEG, WebP, AVIF and HEIC at quality 95, colour at full resolution.

    Missing folders are made; the file appears whole or not at all. `seal` may change the encoded file, open for reading
    and writing, before it appears. Returns what the format had no place for, one sentence each. Raises MimditError.
    """
    format = check_suffix(path)
    photo, notes = _fitted(photo, format, path)

    def write(file: BinaryIO) -> None:
        try:
            _WRITERS.get(format.name, _write_pillow)(file, photo, format)
            if seal is not None:
                seal(file)
        except (MimditError, OSError):
            raise
        except KeyError as error:  # an encoder that Pillow was built without
            if error.args != (format.name,):
                raise
            raise PhotoError(f"{path}: the installed Pillow writes no {format.name}: install a newer one") from None
        except Exception as error:  # beyond the format: WebP ends at 16383 px, JPEG at 65535 px a side
            raise PhotoError(f"{path}: cannot be written as {format.name} ({one_line(error)})") from error

    write_file(path, write, overwrite=overwrite)
    return notes


def _fitted(photo: Photo, format: Format, path: Path) -> tuple[Photo, tuple[str, ...]]:
    """The photo without what the format cannot hold, and what that was. Raises PhotoError for a transparency."""
    notes = []
    if photo.alpha is not None and "alpha" not in format.keeps:
        if photo.alpha.min() < _full_scale(photo.alpha.dtype):
            raise PhotoError(
                f"{path}: {format.name} holds no transparency, which the photo has: choose .png, .webp or .tif"
            )
        photo = replace(photo, alpha=None)
    limit = _SEGMENT if format.name == "JPEG" else None
    for name, words in (("icc", "colour profile"), ("exif", "EXIF"), ("xmp", "XMP"), ("iptc", "IPTC")):
        content = getattr(photo, name)
        if content and name not in format.keeps:
            notes.append(f"{format.name} has no place for its {words}")
        elif content and limit and name != "icc" and len(content) > limit - 64:
            notes.append(f"{format.name} has no place for {words} of {len(content)} bytes")
        else:
            continue
        photo = replace(photo, **{name: None})
    depth = {1: 8, 2: 16, 4: 32}[photo.pixels.dtype.itemsize]
    if depth > (format.depth or 8):
        notes.append(f"{format.name} holds {format.depth} bits a channel, the photo has {depth}")
    if photo.exif:
        photo = replace(photo, exif=exif_block.refresh_thumbnail(photo.exif, _thumbnail(photo)))
        if limit and len(photo.exif or b"") > limit:
            photo = replace(photo, exif=exif_block.refresh_thumbnail(photo.exif or b"", b""))
    return photo, tuple(notes)


def _rows(photo: Photo, place: slice, dtype: np.dtype) -> np.ndarray:
    """[n,W,C] of a photo's rows: one channel for grey, alpha last."""
    pixels = photo.pixels[place]
    if photo.grey:
        if (pixels == pixels[..., :1]).all():
            pixels = pixels[..., :1]
        else:
            pixels = from_unit((to_unit(pixels) @ _LUMA)[..., None], pixels.dtype)
    parts = [_as(pixels, dtype)]
    if photo.alpha is not None:
        parts.append(_as(photo.alpha[place][..., None], dtype))
    return np.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]


def _as(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if values.dtype == dtype:
        return values
    return from_unit(np.clip(to_unit(values), 0, 1), dtype)


def _shape(photo: Photo) -> tuple[int, int, int]:
    height, width = photo.pixels.shape[:2]
    return height, width, (1 if photo.grey else 3) + (photo.alpha is not None)


def _full_scale(dtype: np.dtype) -> float:
    return 1.0 if dtype == np.float32 else np.iinfo(dtype).max


def _write_tiff(file: BinaryIO, photo: Photo, format: Format) -> None:
    dtype = photo.pixels.dtype
    beside = {"icc": photo.icc, "exif": photo.exif, "xmp": photo.xmp, "iptc": photo.iptc}
    tiff_writer.write(file, lambda place: _rows(photo, place, dtype), _shape(photo), dtype, **beside)


def _write_png(file: BinaryIO, photo: Photo, format: Format) -> None:
    if photo.pixels.dtype == np.uint8:
        return _write_pillow(file, photo, format)
    dtype = np.dtype(np.uint16)
    beside = {"icc": photo.icc, "exif": photo.exif, "xmp": photo.xmp}
    png.write_deep(file, lambda place: _rows(photo, place, dtype), _shape(photo), **beside)


def _write_heif(file: BinaryIO, photo: Photo, format: Format) -> None:
    dtype = photo.pixels.dtype if photo.pixels.dtype == np.uint8 else np.dtype(np.uint16)
    samples = _rows(photo, slice(None), dtype)
    heif.write(file, samples, icc=photo.icc, exif=photo.exif, xmp=photo.xmp, quality=QUALITY)


def _write_pillow(file: BinaryIO, photo: Photo, format: Format) -> None:
    settings: dict[str, Any] = dict(_SETTINGS.get(format.name, {}))
    if photo.icc:
        settings["icc_profile"] = photo.icc
    if photo.exif:
        settings["exif"] = photo.exif
    if format.name == "PNG":
        settings["pnginfo"] = _png_info(photo)
    elif format.name == "JPEG":
        settings["extra"] = _jpeg_segments(photo)
    elif photo.xmp:
        settings["xmp"] = photo.xmp
    _image(photo).save(file, format=format.name, **settings)


# 4:4:4, since half-resolution colour would undo part of what was restored.
_SETTINGS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": QUALITY, "subsampling": 0},
    "WEBP": {"quality": QUALITY, "exact": True},
    "AVIF": {"quality": QUALITY, "subsampling": "4:4:4"},
}
_WRITERS: dict[str, Callable[[BinaryIO, Photo, Format], None]] = {
    "TIFF": _write_tiff,
    "PNG": _write_png,
    "HEIF": _write_heif,
}


def _image(photo: Photo) -> "Image":
    from PIL import Image

    samples = _rows(photo, slice(None), np.dtype(np.uint8))
    return Image.fromarray(np.ascontiguousarray(samples[..., 0] if samples.shape[-1] == 1 else samples))


def _png_info(photo: Photo) -> Any:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for name, content in png.extra_chunks(photo.icc):
        info.add(name, content)
    if photo.xmp:
        info.add_itxt("XML:com.adobe.xmp", photo.xmp.decode("utf-8", "replace"))
    return info


def _jpeg_segments(photo: Photo) -> bytes:
    """XMP in APP1, IPTC in APP13 as one of Photoshop's resources."""
    segments = b""
    if photo.xmp:
        segments += _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + photo.xmp)
    if photo.iptc:
        resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(photo.iptc)) + photo.iptc
        segments += _segment(0xED, b"Photoshop 3.0\0" + resource + bytes(len(photo.iptc) % 2))
    return segments


def _segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def _thumbnail(photo: Photo) -> bytes:
    """A JPEG of at most 160 px a side, from every n-th pixel, then smoothly."""
    from PIL import Image

    step = max(max(photo.pixels.shape[:2]) // (4 * _THUMBNAIL), 1)
    small = np.ascontiguousarray(_as(photo.pixels[::step, ::step], np.dtype(np.uint8)))
    image = Image.fromarray(small)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
