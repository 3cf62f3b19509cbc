"""The whole photo, reduced: what a tile must know of the picture that it was cut from.

A tile cannot see haze, exposure or colour cast, so tiles restored one by one differ in brightness. The first cure is
every tile's second input, `mimdit.views.photo_view`; the second stands here: each restored tile's low frequencies are
pulled to those of the photo restored once in reduced form. All of it is numpy without BLAS, so it is single-threaded
and gives equal bytes whatever the machine's thread count.
"""

from dataclasses import dataclass

import numpy as np

# Low frequencies are compared over cells of this many photo pixels: a quarter of the 64 px that they are judged over,
# so that it matters little where a window lies. Measured with a network trained for 20 minutes, whose tiles were up to
# 126 levels off a hazy photo's view: 4.1 levels remained with cells of 16 px, 15.5 with cells of 32.
CELL = 16

# One pass leaves what the cut at black and white loses: up to 3.9 levels over 64 px where a dark photo's tiles are far
# off; six leave 1.8. Where nothing is cut, one is enough.
PASSES = 6
NEAR = 0.5 / 255  # a pass that moved less was the last
_TERMS = 4  # of the series that undoes what smoothing and bilinear interpolation lose


def block_mean(pixels: np.ndarray, block: int) -> np.ndarray:
    """f32[H,W,3] → f32[H/block,W/block,3]; both sides must be multiples of `block`."""
    height, width, channels = pixels.shape
    rows = pixels.reshape(height // block, block, width, channels).mean(1)
    return rows.reshape(height // block, width // block, block, channels).mean(2)


@dataclass(frozen=True)
class WholePhotoView:
    """The photo, reduced by `reduction` and restored, as the yardstick of brightness and colour for its tiles.

    pixels: f32[h,w,3] in 0..1; one view pixel is the mean of reduction × reduction photo pixels. `reduction` divides
    CELL and tiles begin at multiples of it, so cells of the tile and of the view hold exactly the same photo pixels:
    an edge in the photo cannot pose as a difference in brightness.
    """

    pixels: np.ndarray
    reduction: int

    def align(self, tile: np.ndarray, top: int, left: int) -> np.ndarray:
        """Restored tile f32[T,T,3] in 0..1 at photo pixel (top, left) → the same with this view's low frequencies.

        A sum. A gain would never be cut off at black or white, but a dark cell's gain reaches over into its bright
        neighbour: on a sunset whose tiles were off by 3 levels it moved single pixels by 39, the sum by 3. What the
        cut took from the mean is added in the next pass, to the pixels that have room for it.
        """
        k, size = self.reduction, len(tile) // self.reduction
        wanted = block_mean(self.pixels[top // k : top // k + size, left // k : left // k + size], CELL // k)
        means = block_mean(tile, CELL)
        nodes = _interpolation_nodes(wanted - means)  # [T/16,T/16,3]
        # What the cells will be, not what was wanted: a pass that made up for smoothing as well would move a tile with
        # one black pixel otherwise than its neighbour. Photos of two grids differed by 4 levels so, and now by 1.5.
        wanted = means + _three_tap(nodes, 1 / 8)
        aligned = tile
        for _ in range(PASSES):
            shifted = _interpolate(nodes)
            shifted += tile
            aligned = np.clip(shifted, 0, 1)
            if np.array_equal(shifted, aligned):
                break
            lost = wanted - block_mean(aligned, CELL)
            if np.abs(lost).max() < NEAR:
                break
            nodes = nodes + _interpolation_nodes(lost)
        return aligned


def _interpolation_nodes(difference: np.ndarray) -> np.ndarray:
    """Cell means [n,n,3] → node values whose bilinear interpolation has the same means over 64 px windows.

    What is finer than the cells is left to the tile, which sees it better than a reduced photo. Smoothed cell means
    alone would lose a fifth of a wave of 128 px; repeating on what is left over, five terms, loses a thousandth.
    """
    nodes = rest = _three_tap(difference, 1 / 4)
    for _ in range(_TERMS):
        rest = rest - _three_tap(_three_tap(rest, 1 / 8), 1 / 4)
        nodes = nodes + rest
    return nodes


def _three_tap(cells: np.ndarray, side: float) -> np.ndarray:
    """[n,n,3] filtered along both axes by (side, 1 − 2·side, side), edges repeated.

    side = 1/4 removes the wave of two cells; side = 1/8 is what bilinear interpolation does to the mean of a cell.
    """
    padded = np.pad(cells, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = (1 - 2 * side) * padded[1:-1] + side * (padded[:-2] + padded[2:])
    return (1 - 2 * side) * rows[:, 1:-1] + side * (rows[:, :-2] + rows[:, 2:])


def _interpolate(nodes: np.ndarray) -> np.ndarray:
    """[n,n,3] at cell centres → [16·n,16·n,3], bilinear, held constant beyond the outermost centres."""
    return _along(_along(nodes, 1), 0)  # rows last: they lie together in memory


def _along(nodes: np.ndarray, axis: int) -> np.ndarray:
    """One axis from n nodes to 16·n pixels: from each centre to the next in equal steps."""
    ends = [(1, 1) if axis == i else (0, 0) for i in range(nodes.ndim)]
    padded = np.pad(nodes, ends, mode="edge").swapaxes(0, axis)  # [n+2,…]
    part = ((np.arange(CELL, dtype=np.float32) + 0.5) / CELL).reshape(-1, *[1] * (nodes.ndim - 1))
    pieces = padded[:-1, None] + part * (padded[1:] - padded[:-1])[:, None]  # [n+1,16,…]
    half = CELL // 2
    return pieces.reshape(-1, *padded.shape[1:])[half:-half].swapaxes(0, axis)
