"""Calibration: the degraded tiles on which a quantizer sees how large activations become.

Photos are few and tiles are drawn: a pool of candidates, every one from (seed, number), of which those stay that
together cover dark and bright, clean and noisy, flat and textured. The same photos, seed and settings give the same
tiles to the bit, one at a time and in one order, and so the same scales.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mimdit.degrade import degrade
from mimdit.errors import PhotoError
from mimdit.example_photos import EXAMPLES, read_examples
from mimdit.image import SUFFIXES, load
from mimdit.manifest import Calibration, Spread
from mimdit.pixels import to_unit
from mimdit.targets import DEGRADATIONS
from mimdit.views import photo_view

__all__ = ["KINDS", "MEASURES", "CalibrationSet", "Tile", "draw"]

KINDS = ("clean", *DEGRADATIONS)  # a variant meets photos that have nothing, too
TILES = 32
SEED = 0
MEASURES = ("brightness", "noise", "texture")

_CANDIDATES = 4  # drawn for each tile that stays
_SIDES = (1600, 900, 540)  # px; long sides that a photo is drawn at, as in training: fine grain to small pictures
_HELD_OUT = 8  # photos
_VIEW = 2  # side of the photo over side of the tile


@dataclass(frozen=True)
class Tile:
    """image f32[1,3,T,T] and photo f32[1,3,64,64], as a runtime is given them, and what is known of them.

    `truth` f32[1,3,T,T] is the tile before it was degraded. Brightness is the mean luma, noise its robust deviation in
    the finest diagonal detail, texture the mean gradient of the luma at a quarter of the size; all on 0..1.
    """

    image: np.ndarray
    photo: np.ndarray
    truth: np.ndarray
    kind: str
    brightness: float
    noise: float
    texture: float


@dataclass(frozen=True)
class CalibrationSet:
    """Tiles of one side, in the order in which a quantizer gets them; `source` says which photos they are from."""

    tiles: tuple[Tile, ...]
    source: str
    photos: int
    seed: int

    @property
    def side(self) -> int:
        return self.tiles[0].image.shape[-1]

    def inputs(self) -> Iterator[dict[str, np.ndarray]]:
        """One tile at a time: {"image": f32[1,3,T,T], "photo": f32[1,3,64,64]}."""
        return ({"image": tile.image, "photo": tile.photo} for tile in self.tiles)

    def describe(self) -> Calibration:
        """What the manifest says of it."""
        digest = hashlib.sha256()
        for tile in self.tiles:
            digest.update(tile.image.tobytes() + tile.photo.tobytes())
        return Calibration(
            sha256=digest.hexdigest(),
            source=self.source,
            photos=self.photos,
            tile=self.side,
            seed=self.seed,
            kinds=dict(Counter(tile.kind for tile in self.tiles)),
            coverage={
                name: _spread(np.array([getattr(tile, name) for tile in self.tiles], np.float64)) for name in MEASURES
            },
        )


def draw(
    folder: Path | None = None,
    *,
    side: int,
    tiles: int = TILES,
    seed: int = SEED,
    kinds: Sequence[str] = KINDS,
    validation: bool = False,
) -> CalibrationSet:
    """Tiles of `side` px from the clean photos below a folder, by default the CC0 photos of the package.

    `validation`: tiles to choose layers by. From photos that are not calibrated on where there are enough of them (the
    same eight that training holds out); otherwise other tiles of the same photos.

    Raises PhotoError for a folder without photos and for a photo that cannot be read.
    """
    paths = _part(_photos(folder), validation)
    seed += validation
    kinds = [kind for kind in KINDS if kind in kinds]
    candidates = _candidates(paths, side, kinds, _CANDIDATES * max(1, -(-tiles // len(kinds))), seed)
    source = "the example photos of mimdit" if folder is None else folder.resolve().name
    return CalibrationSet(tuple(_covering(candidates, kinds, tiles)), source, len(paths), seed)


def _photos(folder: Path | None) -> list[Path]:
    if folder is None:
        return sorted({EXAMPLES / example.truth for example in read_examples()})
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise PhotoError(f"{folder}: expected a folder of clean photos, found none ({' '.join(SUFFIXES)})")
    return paths


def _part(paths: list[Path], validation: bool) -> list[Path]:
    if len(paths) < 2 * _HELD_OUT:
        return paths
    held_out = set(np.linspace(0, len(paths) - 1, _HELD_OUT).astype(int).tolist())
    return [path for index, path in enumerate(paths) if (index in held_out) == validation]


def _candidates(paths: list[Path], side: int, kinds: Sequence[str], each: int, seed: int) -> list[Tile]:
    """`each` tiles of every kind. A photo is read once, however many tiles are drawn from it."""
    draws: list[tuple[int, int]] = [  # (photo, candidate)
        (int(np.random.default_rng([seed, number]).integers(len(paths))), number) for number in range(each * len(kinds))
    ]
    found: dict[int, Tile] = {}
    for index, path in enumerate(paths):
        wanted = [number for photo, number in draws if photo == index]
        if wanted:
            photo = to_unit(load(path).pixels)
            for number in wanted:
                found[number] = _candidate(
                    photo, side, kinds[number % len(kinds)], np.random.default_rng([seed, number, 1])
                )
    return [found[number] for number in sorted(found)]


def _candidate(photo: np.ndarray, side: int, kind: str, rng: np.random.Generator) -> Tile:
    """Scale, crop, degrade, reduce, cut the tile."""
    scaled = _scaled(photo, int(rng.choice(_SIDES)), side)
    height, width = scaled.shape[:2]
    crop = min(_VIEW * side, height, width)
    top, left = int(rng.integers(0, height - crop + 1)), int(rng.integers(0, width - crop + 1))
    truth = np.ascontiguousarray(scaled[top : top + crop, left : left + crop])
    degraded = truth if kind == "clean" else degrade(truth, kind, rng).image  # pyright: ignore[reportArgumentType]
    top, left = (int(at) for at in rng.integers(0, crop - side + 1, 2))
    cut = np.s_[top : top + side, left : left + side]
    image = _nchw(degraded[cut])
    return Tile(image, photo_view(degraded), _nchw(truth[cut]), kind, *_measures(degraded[cut]))


def _scaled(photo: np.ndarray, long_side: int, smallest: int) -> np.ndarray:
    """f32[H,W,3] reduced to a long side, but enlarged where a tile would not fit."""
    from PIL import Image

    height, width = photo.shape[:2]
    scale = max(min(1.0, long_side / max(height, width)), smallest / min(height, width))
    if scale == 1:
        return photo
    size = (max(smallest, round(width * scale)), max(smallest, round(height * scale)))
    levels = Image.fromarray(np.rint(photo * 255).astype(np.uint8))
    return to_unit(np.asarray(levels.resize(size, Image.Resampling.LANCZOS)))


def _measures(pixels: np.ndarray) -> tuple[float, float, float]:
    """f32[T,T,3] → brightness, noise, texture."""
    luma = (pixels @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.float64)
    side = len(luma) // 4 * 4
    finest = (luma[:-1:2, :-1:2] - luma[1::2, :-1:2] - luma[:-1:2, 1::2] + luma[1::2, 1::2]) / 2
    coarse = luma[:side, :side].reshape(side // 4, 4, side // 4, 4).mean((1, 3))
    texture = np.abs(np.diff(coarse, axis=0)).mean() + np.abs(np.diff(coarse, axis=1)).mean()
    return float(luma.mean()), float(np.median(np.abs(finest)) / 0.6745), float(texture)


def _covering(candidates: Sequence[Tile], kinds: Sequence[str], tiles: int) -> list[Tile]:
    """The kinds in turn; of each the candidate whose thirds of brightness, noise and texture were met least so far."""
    values = np.array([[getattr(tile, name) for name in MEASURES] for tile in candidates])
    thirds = np.stack([np.searchsorted(np.quantile(column, (1 / 3, 2 / 3)), column) for column in values.T], 1)
    met = np.zeros((len(MEASURES), 3), int)
    chosen: list[int] = []
    for turn in range(tiles):
        kind = kinds[turn % len(kinds)]
        left = [i for i, tile in enumerate(candidates) if tile.kind == kind and i not in chosen]
        best = min(left, key=lambda i: sum(met[m, thirds[i, m]] for m in range(len(MEASURES))))
        met[range(len(MEASURES)), thirds[best]] += 1
        chosen.append(best)
    return [candidates[i] for i in chosen]


def _spread(values: np.ndarray) -> Spread:
    low, middle, high = (round(float(value), 6) for value in np.quantile(values, (0, 0.5, 1)))
    return Spread(low=low, middle=middle, high=high)


def _nchw(pixels: np.ndarray) -> np.ndarray:
    """f32[T,T,3] → f32[1,3,T,T]"""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)[None]
