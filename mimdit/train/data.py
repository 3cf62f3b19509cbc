"""Photos → training pairs. Example n of a seed is the same on every machine and in every run that is resumed."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mimdit.config import PHOTO_SIZE
from mimdit.degrade import degrade, gaussian_blur, mixture, night
from mimdit.degrade.light import to_bytes
from mimdit.errors import CheckpointError, PhotoError
from mimdit.files import write_file
from mimdit.image import load
from mimdit.pixels import to_unit
from mimdit.routing.prior import family_of, prior_experts
from mimdit.targets import DEGRADATIONS, Degradation
from mimdit.train.augment import draw_crop, join, smooth_grain
from mimdit.train.config import Ingredient, TrainConfig

_SIDES = (1600, 900, 540)  # px; long sides of the scales that crops are taken from: fine grain to small pictures
# Mean of a crop that has something to lose in haze or the dark. What a dark photo is to become is well exposed.
_LEAST_LIGHT: dict[Ingredient, float] = {"haze": 0.15, "mixture": 0.15, "lowlight": 0.25}
_TRIES = 4  # crops that are looked at for that
# Of these kinds the busier of two crops is learned from: in skies and walls little is lost.
_DETAIL_LOST: tuple[Ingredient, ...] = ("blur", "jpeg")
_JOINED = 0.5  # share of those that have the detail of both
_LAMPS = 0.5  # share of nights with lamps
# The training photos are scaled down, and sharp to the pixel. A camera's own files are not: lens, mosaic and its own
# denoiser soften them, and most pictures are partly out of focus. Told apart from detail, blotches can be removed.
_SOFT = 0.6  # share of photos with sensor noise that are softened
_SOFTNESS = (0.4, 2.5)  # px; standard deviation of that
# And they have grain of their own: in a photo's smoothest fifth a pixel is 0.7 levels from its neighbours' mean (median
# of 66); in the means of many shots that real noise is compared with it is 0.2, and in the noisy shots 1. Truths with
# grain teach that grain is detail.
_GRAIN_LEVELS = (0.5, 2.0)  # of 255; what varies less is taken out of truths of sensor noise
# JPEG's blocks begin at the corner of a photo, and so do the tiler's tiles: a network that meets the blocks at the same
# places restores more of them. Photos that were cut after they were compressed are the rest.
_FILE_GRID = 16  # px; two blocks, because colour is stored at half resolution
_UNCUT = 0.85
_SUFFIXES = {".jpg", ".jpeg", ".png"}


@dataclass
class Batch:
    """f32 tensors in 0..1; `families` index DISPATCHER_CLASSES, −1 for clean photos and mixtures."""

    image: Tensor  # f32[B,3,T,T] degraded
    truth: Tensor  # f32[B,3,T,T]
    photo: Tensor  # f32[B,3,64,64] the whole degraded photo, reduced
    families: Tensor  # i64[B]
    kinds: list[str]


class PhotoScales:
    """A folder of photos at three scales, u8, decoded once into `cache` and memory-mapped from there.

    `digest` is a hash of the files, for what may go on only with the same photos.
    """

    def __init__(self, folder: Path, cache: Path):
        paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES) if folder.is_dir() else []
        if not paths:
            raise CheckpointError(f"no .jpg or .png photos in {folder}: name a folder of clean photos with --photos")
        self.names = [path.name for path in paths]
        hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
        self.digest = hashlib.sha256("".join(hashes).encode()).hexdigest()
        self.scales = [
            _scaled(path, [cache / f"{path.stem}-{known[:8]}-{side}.npy" for side in _SIDES])
            for path, known in zip(paths, hashes, strict=True)
        ]

    def split(self, validation: int) -> tuple[list[int], list[int]]:
        """Indices for training and for validation: `validation` photos, spread evenly over the sorted names."""
        if validation >= len(self.names):
            raise CheckpointError(
                f"validation_photos is {validation}, but there are {len(self.names)} photos: none are left to train on"
            )
        held_out = set(np.linspace(0, len(self.names) - 1, validation).astype(int).tolist())
        return [i for i in range(len(self.names)) if i not in held_out], sorted(held_out)


def photo_cache(near: Path) -> Path:
    """Where decoded photos are kept: beside the nearest folder above `near` that has them, or beside it."""
    places = [folder / ".photo-cache" for folder in near.resolve().parents]
    return next((place for place in places if place.is_dir()), places[0])


def _scaled(path: Path, kept: list[Path]) -> list[np.ndarray]:
    """The photo at each of _SIDES, from where it is kept; decoded once if any is missing."""
    if not all(place.exists() for place in kept):
        try:
            pixels = load(path).pixels
        except PhotoError as error:
            raise PhotoError(f"{error}; remove it from the training photos") from None
        whole = Image.fromarray(pixels if pixels.dtype == np.uint8 else to_bytes(to_unit(pixels)))
        for side, place in zip(_SIDES, kept, strict=True):
            photo = whole.copy()
            photo.thumbnail((side, side), Image.Resampling.LANCZOS)
            write_file(place, lambda file, photo=photo: np.save(file, np.asarray(photo)), overwrite=True)
    return [np.load(place, mmap_mode="r") for place in kept]


class Examples(Dataset[tuple[np.ndarray, np.ndarray, np.ndarray, int, str]]):
    """Example i: crop, vary, degrade, reduce, cut the tile; everything drawn from (seed, i)."""

    def __init__(
        self, photos: PhotoScales, indices: list[int], config: TrainConfig, kinds: Sequence[Ingredient] | None = None
    ):
        """With `kinds`, example i has kind i modulo their number (validation); otherwise kinds follow `config.mix`."""
        for i in indices:
            height, width = photos.scales[i][0].shape[:2]
            if min(height, width) < config.tile:
                raise PhotoError(
                    f"{photos.names[i]} is {width}×{height} px (long side at most {_SIDES[0]}): a tile of {config.tile}"
                    " px does not fit, remove the photo or lower tile"
                )
        self.photos, self.indices, self.config, self.kinds = photos, indices, config, kinds
        shares = np.array(list(config.mix.values()))
        self._names, self._shares = list(config.mix), shares / shares.sum()

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int, str]:
        rng = np.random.default_rng([self.config.seed, index])
        kind = self._names[rng.choice(len(self._names), p=self._shares)]
        if self.kinds:
            kind = self.kinds[index % len(self.kinds)]
        tile = self.config.tile
        side = tile * int(rng.choice(self.config.views))
        truth = self._crop(side, rng)
        for _ in range(_TRIES - 1):
            if truth.mean() >= _LEAST_LIGHT.get(kind, 0):
                break
            truth = self._crop(side, rng)
        if kind in _DETAIL_LOST and not self.kinds:
            other = self._crop(side, rng)
            if rng.random() < _JOINED and truth.shape == other.shape:
                truth = join(truth, other, rng)
            else:
                truth = max(truth, other, key=_detail)
        degraded, truth, family = _degraded(truth, kind, rng)
        corner = rng.integers(0, len(truth) - tile + 1, 2)
        if rng.random() < _UNCUT:
            corner -= corner % _FILE_GRID
        top, left = corner
        cut = np.s_[top : top + tile, left : left + tile]
        step = len(truth) // PHOTO_SIZE
        view = degraded.reshape(PHOTO_SIZE, step, PHOTO_SIZE, step, 3).mean((1, 3))
        return _chw(degraded[cut]), _chw(truth[cut]), _chw(view), family, kind

    def _crop(self, side: int, rng: np.random.Generator) -> np.ndarray:
        scales = self.photos.scales[self.indices[rng.integers(len(self.indices))]]
        large_enough = [s for s in scales if min(s.shape[:2]) >= side] or scales[:1]
        photo = large_enough[rng.integers(len(large_enough))]
        side = min(side, min(photo.shape[:2]) // PHOTO_SIZE * PHOTO_SIZE)
        return draw_crop(photo, side, rng, varied=not self.kinds)  # choices are made on hues and shapes as they are


def _degraded(truth: np.ndarray, kind: Ingredient, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
    """The degraded photo, its truth, and its family."""
    if kind == "clean":
        return truth, truth, -1
    if kind == "mixture":
        kinds: list[Degradation] = [DEGRADATIONS[i] for i in rng.choice(len(DEGRADATIONS), rng.integers(2, 4), False)]
        return mixture(truth, kinds, rng).image, truth, -1
    if kind == "lowlight" and rng.random() < _LAMPS:
        truth, dark = night(truth, rng)
        return dark.image, truth, family_of(kind)
    if kind == "sensor":
        truth = smooth_grain(truth, rng.uniform(*_GRAIN_LEVELS) / 255)
        if rng.random() < _SOFT:
            truth = gaussian_blur(truth, draw_softness(rng))
    return degrade(truth, kind, rng).image, truth, family_of(kind)


def _detail(photo: np.ndarray) -> float:
    """Mean difference of a pixel to the one beside it, 0..1."""
    return float(np.abs(np.diff(photo.mean(axis=2))).mean())


def draw_softness(rng: np.random.Generator) -> float:
    """Standard deviation, px, of a `gaussian_blur` that makes a photo as soft as a camera's files are."""
    return float(np.exp(rng.uniform(*np.log(_SOFTNESS))))


def _chw(photo: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(photo.transpose(2, 0, 1), dtype=np.float32)


def collate(items: list[tuple[np.ndarray, np.ndarray, np.ndarray, int, str]]) -> Batch:
    """Examples → Batch."""
    images, truths, photos, families, kinds = zip(*items, strict=True)
    image, truth, photo = (torch.from_numpy(np.stack(part)) for part in (images, truths, photos))
    return Batch(image, truth, photo, torch.tensor(families), list(kinds))


def batches(examples: Examples, first: int, last: int, size: int) -> Iterator[Batch]:
    """Batches number `first` … `last` − 1, prepared ahead by one worker process."""
    order = range(first * size, last * size)
    return iter(
        DataLoader(examples, size, sampler=order, num_workers=1, collate_fn=collate, prefetch_factor=4)  # pyright: ignore
    )


def first_batches(photos: Path, cache: Path, config: TrainConfig, count: int) -> list[Batch]:
    """What a run of `config` begins with: its first `count` batches, of its training photos."""
    scales = PhotoScales(photos, cache)
    training, _ = scales.split(config.validation_photos)
    return list(batches(Examples(scales, training, config), 0, count, config.batch))


def forced_experts(families: Tensor, blocks: int) -> Tensor:
    """i64[B,blocks,4]: the prior's sub-experts for each photo's family."""
    return torch.from_numpy(np.stack([prior_experts(int(f), blocks) for f in families]))
