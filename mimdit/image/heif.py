"""HEIC photos, as phones take them, through pillow-heif (`pip install 'mimdit[heif]'`): 8, 10 and 12 bits."""

from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from mimdit.errors import MissingPackageError
from mimdit.image.cicp import Cicp
from mimdit.image.decode import Decoded, from_samples
from mimdit.image.icc import of_code_points

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["read", "write"]

_CHANNELS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def _pillow_heif() -> Any:
    try:
        import pillow_heif
    except ModuleNotFoundError as error:
        raise MissingPackageError("pillow-heif", "heif") from error
    return pillow_heif


def read(file: BinaryIO, check_size: "Callable[[int, int], None]") -> tuple[Decoded, dict[str, Any]]:
    """The main picture, upright as HEIF itself says, and what pillow-heif tells of it (exif, xmp)."""
    package = _pillow_heif()
    file.seek(0)
    heif = package.open_heif(file, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    check_size(*heif.size)
    info = dict(heif.info)
    samples = np.asarray(heif)
    samples = samples[..., None] if samples.ndim == 2 else samples
    if samples.dtype == np.uint16:  # 10 or 12 bits, full scale to full scale
        full = 2 ** int(info["bit_depth"]) - 1
        samples = ((samples.astype(np.uint32) * 65535 + full // 2) // full).astype(np.uint16)
    decoded = from_samples(samples, samples.shape[-1] in (2, 4))
    nclx = info.get("nclx_profile")
    icc = info.get("icc_profile") or None
    if icc is None and nclx:
        icc = of_code_points(Cicp(int(nclx["color_primaries"]), int(nclx["transfer_characteristics"])))
    notes = []
    if len(heif) > 1:
        notes.append(f"of {len(heif)} pictures in the file the main one was taken")
    if any("gainmap" in str(kind).lower() for kind in info.get("aux", ())):
        notes.append("its gain map, which brightens it on HDR screens, was dropped")
    return decoded._replace(icc=icc, notes=tuple(notes)), info


def write(
    file: BinaryIO, samples: np.ndarray, *, icc: bytes | None, exif: bytes | None, xmp: bytes | None, quality: int
) -> None:
    """u8[H,W,C] in 8 bits, u16 in 10, full colour resolution."""
    package = _pillow_heif()
    height, width, channels = samples.shape
    mode = _CHANNELS[channels]
    if samples.dtype == np.uint16:
        # The package shifts 16 bits to 10; full scale must become full scale.
        samples = ((samples.astype(np.uint32) * 1023 + 32767) // 65535).astype(np.uint16) << 6
        mode = f"{mode};16"
    heif = package.from_bytes(mode=mode, size=(width, height), data=np.ascontiguousarray(samples).tobytes())
    heif.info.update({"exif": exif, "xmp": xmp, "icc_profile": icc or b""})
    if icc:
        heif.info["icc_profile_type"] = "prof"
    heif.save(file, quality=quality, chroma=444)
