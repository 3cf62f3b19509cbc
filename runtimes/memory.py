"""How much memory photos take, known from their size before a pixel is allocated, and a limit on all at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

from mimdit.errors import PhotoError

__all__ = ["FIXED", "PIXEL", "Memory"]

# Bytes, measured by benchmarks/memory.py on the default bundle: what the process takes whatever the photo, and what
# each pixel of a photo of 8 bits a channel adds at the peak, which is decoding or encoding (Pillow's 4, ours 3).
FIXED = 250_000_000
PIXEL = 9


class Memory:
    """Room for the photos that are in work at once: at most `limit` bytes in all, or no limit."""

    def __init__(self, limit: int | None = None):
        self._limit = limit
        self._taken = FIXED
        self._freed = Condition()

    @contextmanager
    def room(self) -> Iterator[Callable[[int, int], None]]:
        """Gives `admit(width, height)`: waits until a photo of this size fits beside the others, and holds its room
        until the block ends. Raises PhotoError for one that never fits."""
        held = 0

        def admit(width: int, height: int) -> None:
            nonlocal held
            if self._limit is None:
                return
            needed = width * height * PIXEL
            if FIXED + needed > self._limit:
                raise PhotoError(
                    f"has {width * height / 1e6:.0f} megapixels, which take about {(FIXED + needed) / 1e6:.0f} MB, "
                    f"more than the limit of {self._limit / 1e6:.0f} MB: reduce it, or raise --max-memory"
                )
            with self._freed:
                self._freed.wait_for(lambda: self._limit is None or self._taken + needed <= self._limit)
                self._taken += needed
            held = needed

        try:
            yield admit
        finally:
            with self._freed:
                self._taken -= held
                self._freed.notify_all()
