"""Which photo files are read and written, and what each can hold. An allowlist: nothing else is ever decoded."""

from dataclasses import dataclass
from pathlib import Path

from mimdit.errors import PhotoError

__all__ = ["FORMATS", "SUFFIXES", "Format", "check_suffix", "format_of", "result_suffix", "sniff"]


@dataclass(frozen=True)
class Format:
    """One kind of file.

    depth: bits a channel that can be written, 32 being float32; None where it is only read · becomes: the suffix that
    a result gets where that is so · keeps: what the format has a place for, of alpha, icc, exif, xmp, iptc · extra:
    what `pip install 'mimdit[…]'` needs for it.
    """

    name: str
    suffixes: tuple[str, ...]
    depth: int | None
    keeps: tuple[str, ...] = ()
    becomes: str = ""
    extra: str | None = None


FORMATS = (
    Format("JPEG", (".jpg", ".jpeg"), 8, ("icc", "exif", "xmp", "iptc")),
    Format("PNG", (".png",), 16, ("alpha", "icc", "exif", "xmp")),
    Format("WEBP", (".webp",), 8, ("alpha", "icc", "exif", "xmp")),
    Format("TIFF", (".tif", ".tiff"), 32, ("alpha", "icc", "exif", "xmp", "iptc")),
    Format("AVIF", (".avif",), 8, ("alpha", "icc", "exif", "xmp")),
    Format("HEIF", (".heic", ".heif"), 10, ("alpha", "icc", "exif", "xmp"), extra="heif"),
    Format("BMP", (".bmp",), 8),
    Format("GIF", (".gif",), None, becomes=".png"),
    Format(
        "RAW",
        (".dng", ".nef", ".cr2", ".cr3", ".arw", ".raf", ".orf", ".rw2", ".pef"),
        None,
        becomes=".tif",
        extra="raw",
    ),
)
_BY_SUFFIX = {suffix: format for format in FORMATS for suffix in format.suffixes}
SUFFIXES = tuple(_BY_SUFFIX)  # all that is read

_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")


def check_suffix(path: Path) -> Format:
    """The format that an output's name asks for. Raises PhotoError for a suffix that is not written."""
    format = _BY_SUFFIX.get(path.suffix.lower())
    if format is None:
        known = " ".join(suffix for suffix, format in _BY_SUFFIX.items() if format.depth)
        raise PhotoError(f"{path}: expected one of the suffixes {known}, found {path.suffix or 'none'}")
    if format.depth is None:
        raise PhotoError(f"{path}: {format.name} files are read, not written: choose {format.becomes}")
    return format


def result_suffix(suffix: str) -> str:
    """The suffix of the result of a photo file: its own, or what a format that is only read becomes."""
    format = _BY_SUFFIX.get(suffix.lower())
    return format.becomes if format and format.becomes else suffix


def format_of(name: str) -> Format:
    """The format called `name`."""
    return next(format for format in FORMATS if format.name == name)


def sniff(start: bytes, suffix: str) -> str | None:
    """The name of the format of a file by its first 64 bytes; None where it is none of ours.

    What a file is called does not count, but for RAW: most cameras' files begin like a TIFF, whose first picture is
    the preview.
    """
    if (named := _BY_SUFFIX.get(suffix.lower())) and named.name == "RAW":
        return "RAW"
    for name, begins in (
        ("JPEG", b"\xff\xd8\xff"),
        ("PNG", b"\x89PNG\r\n\x1a\n"),
        ("TIFF", b"II*\0"),
        ("TIFF", b"MM\0*"),
        ("GIF", b"GIF8"),
        ("BMP", b"BM"),
    ):
        if start.startswith(begins):
            return name
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    if start[4:8] == b"ftyp":
        length = int.from_bytes(start[:4], "big")
        brands = [start[i : i + 4] for i in range(8, min(length, len(start)), 4)]
        if b"avif" in brands or b"avis" in brands:
            return "AVIF"
        if any(brand in _HEIF_BRANDS for brand in brands):
            return "HEIF"
    return None
