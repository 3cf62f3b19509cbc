"""Photos of any size through a runtime of one tile size: overlap, blending, mirrored borders, the whole-photo view.

Finished rows are handed out from the top as soon as no tile below can touch them, so what is held besides the photo
is one strip of tiles. Rows that were handed out are not read again: a caller may write them back over the photo.
Blending weights add up to 1 by construction and the view is compared with each tile before it is blended: there is no
second pass over the photo.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mimdit.errors import BundleError
from mimdit.pixels import Pixels, mirror, to_unit
from mimdit.runtimes.base import Runtime
from mimdit.runtimes.view import CELL, WholePhotoView
from mimdit.views import photo_view

# px that tiles begin at multiples of; small tiles at multiples of a half, a quarter … of it. The networks' codec has
# cells of 8 px, their tokens 16, their attention windows 64: so all tiles cut the photo into the same ones. Where they
# did not, 384 px tiles moved by 96 px differed by up to 15 levels, in the mean by 0.6.
GRID = 64

Progress = Callable[[int, int], None]  # (tiles done, tiles in all), after every tile
_Restore = Callable[[np.ndarray], np.ndarray]  # f32[T,T,3] → f32[T,T,3], both in 0..1
_Show = Callable[[WholePhotoView], object]


@dataclass(frozen=True)
class Window:
    """A part of a photo, in pixels from its top left corner."""

    top: int
    left: int
    height: int
    width: int

    def of(self, pixels: Pixels) -> np.ndarray:
        """That part of [H,W,…], not copied."""
        return pixels[self.top : self.top + self.height, self.left : self.left + self.width]


@dataclass(frozen=True)
class _Axis:
    """Tiles along one side of the photo."""

    size: int  # photo pixels
    mirror: np.ndarray  # int[padded]: the photo pixel at each place of the padded side
    origins: tuple[int, ...]  # first padded pixel of each tile
    weights: np.ndarray  # f32[tiles,T]; at every place the tiles' weights add up to 1

    def touching(self, start: int, length: int) -> list[int]:
        """Which tiles have a share in `length` pixels from `start`."""
        tile = self.weights.shape[1]
        return [i for i, origin in enumerate(self.origins) if origin < start + length and origin + tile > start]


@dataclass(frozen=True)
class _Layout:
    """Tiles over the photo; `reduction` is the whole-photo view's, 1 where a single tile holds the photo."""

    tile: int
    reduction: int
    rows: _Axis
    columns: _Axis


def restore_strips(
    photo: Pixels,
    runtime: Runtime,
    overlap: int,
    *,
    align: bool = True,
    window: Window | None = None,
    progress: Progress | None = None,
    show: _Show | None = None,
) -> Iterator[np.ndarray]:
    """Restores [H,W,3] of any pixel dtype; yields f32[n,W,3] in 0..1, from the top, n adding up to H.

    overlap: pixels that neighbouring tiles share, 0 to half a tile. align=False leaves out the whole-photo view's
    correction, not the tile's `photo` input. window: yields only that part of the same result, and restores only the
    tiles that have a share in it. show: receives the whole-photo view before the first strip, where there is one.
    """
    window = window or Window(0, 0, *photo.shape[:2])
    layout = _layout(photo.shape[0], photo.shape[1], runtime.tile, overlap)
    total = _tile_count(layout, window, overlap, align)
    yield from _strips(photo, _tile_restorer(photo, runtime, total, progress), layout, window, overlap, align, show)


def whole_photo_view(photo: Pixels, runtime: Runtime, overlap: int) -> WholePhotoView:
    """The view that `restore_strips` holds its tiles to; for a photo that fits one tile, the restored photo itself."""
    layout = _layout(photo.shape[0], photo.shape[1], runtime.tile, overlap)
    return _restored_view(photo, _tile_restorer(photo, runtime, 0, None), layout, overlap)


def tile_borders(size: int, other: int, tile: int, overlap: int) -> list[int]:
    """Where seams could lie along a side of `size` pixels, `other` being the other side: pixels that begin or follow a
    tile, and the middles of what two tiles share."""
    origins = _layout(size, other, tile, overlap).rows.origins
    begins, ends = origins[1:], [origin + tile for origin in origins[:-1]]
    middles = [(begin + end) // 2 for begin, end in zip(begins, ends, strict=True)]
    return sorted({*begins, *ends, *middles})


def tile_count(height: int, width: int, tile: int, overlap: int, *, align: bool = True) -> int:
    """How many tiles a photo costs, with `align` those of its whole-photo view included."""
    return _tile_count(_layout(height, width, tile, overlap), Window(0, 0, height, width), overlap, align)


def _tile_restorer(photo: Pixels, runtime: Runtime, total: int, progress: Progress | None) -> _Restore:
    """One tile in [T,T,3] → one tile out, the photo's view bound, progress counted."""
    view = photo_view(photo)
    done = 0

    def restore(tile: np.ndarray) -> np.ndarray:
        nonlocal done
        restored = runtime.run(np.ascontiguousarray(tile.transpose(2, 0, 1))[None], view)[0].transpose(1, 2, 0)
        done += 1
        if progress is not None:
            progress(done, total)
        return restored

    return restore


def _strips(
    photo: Pixels,
    restore: _Restore,
    layout: _Layout,
    window: Window,
    overlap: int,
    align: bool,
    show: _Show | None = None,
) -> Iterator[np.ndarray]:
    tile, rows, columns = layout.tile, layout.rows, layout.columns
    view = _restored_view(photo, restore, layout, overlap) if align and layout.reduction > 1 else None
    if show is not None and view is not None:
        show(view)
    below, beside = rows.touching(window.top, window.height), columns.touching(window.left, window.width)
    inside = slice(window.left, window.left + window.width)
    # Clipped when it is handed out: float32 weights add up to 1 within 1e-7.
    strip = np.zeros((tile, len(columns.mirror), 3), np.float32)
    start = rows.origins[below[0]]  # the photo row at the top of the strip
    for i in below:
        top = rows.origins[i]
        if finished := top - start:
            if top > window.top:
                yield np.clip(strip[max(window.top - start, 0) : finished, inside], 0, 1)
            strip[:-finished] = strip[finished:]
            strip[-finished:] = 0
            start = top
        for j in beside:
            left = columns.origins[j]
            place = np.ix_(rows.mirror[top : top + tile], columns.mirror[left : left + tile])
            restored = restore(to_unit(photo[place]))
            if view is not None:
                restored = view.align(restored, top, left)
            strip[:, left : left + tile] += rows.weights[i, :, None, None] * columns.weights[j, :, None] * restored
    yield np.clip(strip[max(window.top - start, 0) : window.top + window.height - start, inside], 0, 1)


def _restored_view(photo: Pixels, restore: _Restore, layout: _Layout, overlap: int) -> WholePhotoView:
    """The photo reduced by exact means and restored; above 16 tiles a side in tiles that have a view of their own."""
    reduced = _reduced(photo, layout)
    height, width = reduced.shape[:2]
    inner = _layout(height, width, layout.tile, overlap)
    strips = _strips(reduced, restore, inner, Window(0, 0, height, width), overlap, True)
    return WholePhotoView(np.concatenate(list(strips)), layout.reduction)


def _reduced(photo: Pixels, layout: _Layout) -> np.ndarray:
    """[H,W,3] → f32[h,w,3]: means of reduction × reduction pixels of the padded photo, a row of them at a time."""
    k = layout.reduction
    width = len(layout.columns.mirror)
    lines = layout.rows.mirror.reshape(-1, k)  # [h,k]
    reduced = np.empty((len(lines), width // k, 3), np.float32)
    for i, line in enumerate(lines):
        mean = to_unit(photo[line]).mean(0)  # [W,3]
        reduced[i] = mean[layout.columns.mirror].reshape(-1, k, 3).mean(1)
    return np.clip(reduced, 0, 1)  # float32 sums may end at 1 + 1e-7


def _tile_count(layout: _Layout, window: Window, overlap: int, align: bool) -> int:
    """How many tiles `_strips` restores, the view's own included."""
    rows, columns = layout.rows, layout.columns
    count = len(rows.touching(window.top, window.height)) * len(columns.touching(window.left, window.width))
    if align and layout.reduction > 1:
        height, width = (len(axis.mirror) // layout.reduction for axis in (rows, columns))
        count += _tile_count(_layout(height, width, layout.tile, overlap), Window(0, 0, height, width), overlap, True)
    return count


def _layout(height: int, width: int, tile: int, overlap: int) -> _Layout:
    if tile % CELL or not 0 <= overlap <= tile // 2:
        raise BundleError(f"a tile is a multiple of {CELL} px and overlaps by at most half, not {tile} by {overlap}")
    # A power of two up to CELL, the smallest that fits the photo into one tile: all of them divide CELL and the tile.
    reduction = 1
    while reduction < min(CELL, tile // 2) and max(height, width) > tile * reduction:
        reduction *= 2
    return _Layout(tile, reduction, _axis(height, tile, overlap, reduction), _axis(width, tile, overlap, reduction))


def _axis(size: int, tile: int, overlap: int, step: int) -> _Axis:
    """As few tiles as the overlap allows, spread evenly, each beginning on a grid whose distance `step` divides."""
    grid = GRID
    while grid > step and 3 * grid > tile - overlap:
        grid //= 2
    last = max(-(-(size - tile) // grid), 0)  # where the last tile begins, in steps of the grid, as is the next
    farthest = (tile - overlap) // grid
    gaps = max(-(-last // farthest), 1)
    origins = tuple(sorted({i * last // gaps * grid for i in range(gaps + 1)}))
    return _Axis(size, mirror(last * grid + tile, size), origins, _weights(origins, tile, overlap))


def _weights(origins: tuple[int, ...], tile: int, overlap: int) -> np.ndarray:
    """f32[tiles,T]: raised-cosine ramps over `overlap` pixels at both ends, divided by their sum at every place.

    The ramp never reaches zero, so at the photo's own border, where one tile stands alone, its share is exactly 1.
    """
    ramp = np.sin((np.arange(overlap) + 0.5) * (np.pi / 2 / max(overlap, 1))) ** 2
    window = np.ones(tile)
    window[:overlap] *= ramp
    window[tile - overlap :] *= ramp[::-1]
    total = np.zeros(origins[-1] + tile)
    for origin in origins:
        total[origin : origin + tile] += window
    return np.stack([window / total[o : o + tile] for o in origins]).astype(np.float32)
