"""A decoded photo: its pixels, what makes colours of them, and what was written beside them."""

from dataclasses import dataclass, replace

import numpy as np

from mimdit.image import exif
from mimdit.image.working import back_from_working, in_place, to_working
from mimdit.pixels import Pixels

__all__ = ["Photo"]


@dataclass(frozen=True)
class Photo:
    """A decoded photo, upright.

    pixels  u8, u16 or f32 [H,W,3] in the file's own RGB space, full scale 1 for f32; of a grey photo one channel,
            seen three times
    alpha   [H,W] of the same dtype, or None
    icc     the profile that makes colours of the pixels; None is sRGB
    exif    the block with its marker "Exif\\0\\0", orientation reset
    xmp     the packet · iptc: the IIM records
    notes   what could not be kept, one sentence each
    """

    pixels: np.ndarray
    grey: bool = False
    alpha: np.ndarray | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    notes: tuple[str, ...] = ()

    @property
    def megapixels(self) -> float:
        return self.pixels.shape[0] * self.pixels.shape[1] / 1e6

    def working(self) -> np.ndarray:
        """The pixels in the network's space: sRGB-encoded, [H,W,3], writable.

        Of the same dtype, f32 in 0..1. Colour in sRGB of 8 or 16 bits is handed out itself, not copied.
        """
        return to_working(self.pixels, self.icc, self.grey)

    def in_place(self) -> Pixels | None:
        """The same without a copy, for restoring whole: what is written to it changes this photo's own `pixels`.

        None where nothing can be written to: for floats, and for grey, which is one channel seen three times.
        """
        return in_place(self.pixels, self.icc, self.grey)

    def with_working(self, restored: np.ndarray) -> "Photo":
        """The same photo and metadata with the pixels that `working` gave, restored; their memory is used again.

        Where nothing was changed every pixel comes back to the bit, also one whose colour sRGB does not hold.
        """
        return replace(self, pixels=back_from_working(self.pixels, restored, self.icc, self.grey))

    def cropped(self, top: int, left: int, height: int, width: int) -> "Photo":
        """A part of it, in pixels from the top left corner."""
        place = slice(top, top + height), slice(left, left + width)
        return replace(
            self,
            pixels=self.pixels[place],
            alpha=None if self.alpha is None else self.alpha[place],
            exif=None if self.exif is None else exif.reset(self.exif, width, height),
        )

    def without_metadata(self) -> "Photo":
        """Pixels and profile alone: no EXIF (place, time, camera), no XMP, no IPTC."""
        return replace(self, exif=None, xmp=None, iptc=None)
