"""Photo files ↔ pixels: what is read, what is written, and everything beside the pixels that is kept.

`load` gives a `Photo`, upright, in the file's own colours and depth; `Photo.working` gives what a network restores and
`Photo.with_working` takes it back; `save` writes it. `docs/photos.md` says what each format keeps.
"""

from mimdit.image.formats import SUFFIXES, check_suffix, result_suffix
from mimdit.image.photo import Photo
from mimdit.image.read import MAX_MEGAPIXELS, load
from mimdit.image.write import save

__all__ = ["MAX_MEGAPIXELS", "SUFFIXES", "Photo", "check_suffix", "load", "result_suffix", "save"]
