"""RAW photos through rawpy, that is LibRaw (`pip install 'mimdit[raw]'`), developed as a camera would: its white
balance, brightness to a hundredth of clipped pixels, sRGB, 16 bits."""

from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from mimdit.errors import MissingPackageError
from mimdit.image.decode import Decoded

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["read"]


def read(file: BinaryIO, check_size: "Callable[[int, int], None]") -> Decoded:
    """The developed photo, upright, u16[H,W,3]."""
    try:
        import rawpy
    except ModuleNotFoundError as error:
        raise MissingPackageError("rawpy", "raw") from error
    file.seek(0)
    with rawpy.RawPy() as raw:
        raw.open_buffer(file)
        check_size(raw.sizes.raw_width, raw.sizes.raw_height)
        raw.unpack()
        pixels = raw.postprocess(
            use_camera_wb=True,
            output_color=rawpy.ColorSpace.sRGB,
            output_bps=16,
            highlight_mode=rawpy.HighlightMode.Blend,
        )
    note = "a RAW file was developed with the camera's white balance; the result is a picture, not RAW"
    return Decoded(np.ascontiguousarray(pixels), False, None, notes=(note,))
