"""Mistakes of a pipeline that leave a signature in the photo: red and blue exchanged, a tile in the wrong place.

A network that restores worse is one thing; these are made outside it, and undoing them brings the photo back.
"""

import numpy as np

from mimdit.metrics import psnr

__all__ = ["displaced_blocks", "swap_gain"]

_BLOCK = 32  # px
_CLEARLY = 2.0  # by how much less a displaced block's squared error is once it is moved back
_NEIGHBOURS = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right]


def swap_gain(photo: np.ndarray, truth: np.ndarray) -> float:
    """dB by which [H,W,3] comes nearer to its truth with red and blue exchanged; negative where they are right."""
    before, after = (psnr(pixels / 255, truth / 255) for pixels in (photo, photo[..., ::-1]))
    return 0.0 if before == after else float(np.clip(after - before, -99, 99))


def displaced_blocks(restored: np.ndarray, degraded: np.ndarray, truth: np.ndarray) -> int:
    """How many blocks of 32×32 px of the restored photo lie one pixel off, where the degraded photo's do not.

    u8[H,W,3] each. A block counts where moving it by one pixel halves its squared error, which neither noise nor a
    blurred edge makes: those agree best where they are.
    """
    restored, degraded, truth = (pixels.mean(2, dtype=np.float32) for pixels in (restored, degraded, truth))
    found = _displaced(restored, truth)
    return int((found & ~_displaced(degraded, truth)).sum()) if found.any() else 0


def _displaced(photo: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """f32[H,W] → bool[rows,columns]: blocks that agree clearly better with the truth once moved."""
    moved = np.min([_block_errors(photo, truth, shift) for shift in _NEIGHBOURS], axis=0)
    return _block_errors(photo, truth, (0, 0)) > _CLEARLY * moved + 0.5


def _block_errors(photo: np.ndarray, truth: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    """f32[rows,columns]: mean squared error of each whole block, the photo moved; its outermost pixels left out."""
    height, width = (side - 2 for side in truth.shape)
    if min(height, width) < 1:
        return np.zeros((1, 1), np.float32)
    down, right = shift
    squares = photo[1 + down : 1 + down + height, 1 + right : 1 + right + width] - truth[1:-1, 1:-1]
    squares *= squares
    rows, columns = (max(side // _BLOCK, 1) for side in (height, width))
    tall, wide = height // rows, width // columns
    return squares[: rows * tall, : columns * wide].reshape(rows, tall, columns, wide).mean((1, 3))
