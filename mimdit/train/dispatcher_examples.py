"""Photos → the dispatcher's training examples: whole pictures of several sizes, degraded, and what should be said.

Degrading half a megapixel to look at a fraction of it is what training would spend its time on, so every example is
made once, in shards on disk that a killed run finds again. Example n of a seed is always the same.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track

from mimdit.degrade import degrade, eight_bits, gaussian_blur, jpeg, mixture, night
from mimdit.degrade.light import enlarge
from mimdit.degrade.lowlight import expose
from mimdit.files import write_file
from mimdit.metrics import FAINT_DB, psnr
from mimdit.routing.prior import family_of
from mimdit.targets import DEGRADATIONS, DISPATCHER_CLASSES, Degradation
from mimdit.train.augment import draw_recoloured, warp
from mimdit.train.config import Ingredient
from mimdit.train.data import PhotoScales, draw_softness
from mimdit.views import CROP, CROPS, dispatcher_inputs

INGREDIENTS: tuple[Ingredient, ...] = ("clean", "mixture", *DEGRADATIONS)
# Of INGREDIENTS; mixtures, sensor noise and darkness come in the most shapes.
_SHARES = np.array([0.28, 0.18] + [0.12 if kind in ("sensor", "lowlight") else 0.06 for kind in DEGRADATIONS])
_SHARES /= _SHARES.sum()
SHARD = 128  # examples a file
EITHER = -1  # what is wanted of a score that may fall either way

_SIDES = (320, 1000)  # px: of the pictures
_DARKEST = 0.15  # mean of a picture that still has something to lose in low light or haze
# Rooms are dim, and photographed so on purpose. Where all dark examples were to be lightened, and were grainy, grain
# said "dark": real sensor noise went to lowlight, which costs 15 dB, and real darkness to nothing.
_DIM = (0.3, 1.0)  # the share of their light that photos which nobody need lighten have
# Nor are soft photos to be sharpened. Where none were soft but the blurred ones, real sensor noise, which comes with a
# camera's softness, went to deblur, which costs 4 dB.
_SOFT = 0.4  # share of photos without blur that are as soft as a camera's files
_SOFT_ENOUGH_PX = 1.0  # from there on sharpening is a matter of taste
_KEPT_QUALITY = (80, 96)  # JPEG qualities of files that nobody would call degraded
# A few dozen photos are known by their levels and colours, whatever they suffer from: what is learned of them does not
# hold for others. So they are varied; and two photos side by side have levels that neither has.
_JOINED = 0.5  # share of pictures that are two photos' side by side, or one above the other,
_BORDER = (0.25, 0.75)  # which meet at this share of the side
_WARPED = 0.6  # share of pieces that are turned, stretched, slanted and reduced, where the photo is large enough
_GREY = 0.06  # share of black-and-white pieces
_RECOLOURED = 0.5  # share of others that are more or less saturated, with other hues
_SATURATION = (0.3, 1.5)
_REGRADED = 0.3  # share of pieces on which a gamma is put
_GAMMA = (0.7, 1.5)
NO_PHOTO = -1

# One example. f16 resolves the view to 1/16 of a level; what a file holds has 8 bits anyway.
RECORD = np.dtype(
    [
        ("photo", np.float16, (3, 64, 64)),
        ("crops", np.uint8, (CROPS, 3, CROP, CROP)),
        ("wanted", np.int8, (len(DISPATCHER_CLASSES),)),  # 1 yes, 0 no, EITHER
        ("kind", np.uint8),  # index of INGREDIENTS
        ("sources", np.int16, (2,)),  # the photos that it was made from; the second is NO_PHOTO where there is one
    ]
)


class Example(NamedTuple):
    """One example before the dispatcher's inputs are taken of it."""

    photo: np.ndarray  # f32[H,W,3] of values k/255
    wanted: np.ndarray  # i8[6]: what is wanted of each score
    sources: tuple[int, int]


class Shards:
    """`count` examples, varied or not, of `photos`, made where `folder` lacks them and mapped into memory."""

    def __init__(self, photos: PhotoScales, count: int, seed: int, folder: Path, *, varied: bool):
        folder.mkdir(parents=True, exist_ok=True)
        self._shards: list[np.ndarray] = []
        bar = Console(stderr=True)
        indices = list(range(len(photos.names)))
        for first in track(range(0, count, SHARD), f"{folder.name} examples", console=bar, transient=True):
            size = min(SHARD, count - first)
            path = folder / f"{photos.digest[:8]}-{seed}-{first}-{size}.npy"
            if not path.exists():
                made = np.array([_record(photos, indices, [seed, first + i], varied) for i in range(size)], RECORD)
                write_file(path, lambda file, made=made: np.save(file, made))
            self._shards.append(np.load(path, mmap_mode="r"))
        self._count = count

    def __len__(self) -> int:
        return self._count

    def take(self, numbers: np.ndarray) -> np.ndarray:
        """RECORD[len(numbers)]: the examples of these numbers, copied."""
        return np.array([self._shards[n // SHARD][n % SHARD] for n in numbers], RECORD)


def _record(
    photos: PhotoScales, indices: list[int], seed: list[int], varied: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int, tuple[int, int]]:
    rng = np.random.default_rng(seed)
    number = int(rng.choice(len(INGREDIENTS), p=_SHARES))
    example = draw_example(photos, indices, INGREDIENTS[number], rng, varied=varied)
    view, crops = dispatcher_inputs(example.photo)
    rounded = np.rint(crops * 255).astype(np.uint8)
    return view[0].astype(np.float16), rounded, example.wanted, number, example.sources


def draw_example(
    photos: PhotoScales, indices: list[int], kind: Ingredient, rng: np.random.Generator, *, varied: bool = True
) -> Example:
    """A picture of the photos `indices`, with what `kind` says. Unless `varied`, it is a piece of one as it is."""
    truth, sources = _picture(photos, indices, rng, varied)
    if kind in ("haze", "lowlight", "mixture") and truth.mean() < _DARKEST:  # a night sky has nothing to lose
        truth, sources = _picture(photos, indices, rng, varied)
    wanted = np.zeros(len(DISPATCHER_CLASSES), np.int8)
    if kind not in ("haze", "lowlight", "mixture") and rng.random() < 0.4:
        share = float(np.exp(rng.uniform(*np.log(_DIM))))
        truth = eight_bits(expose(truth, share, float(rng.uniform(0, 0.8))))
    if kind not in ("blur", "mixture") and rng.random() < _SOFT:
        sigma_px = draw_softness(rng)
        truth = gaussian_blur(truth, sigma_px)
        if sigma_px >= _SOFT_ENOUGH_PX and kind not in ("noise", "sensor"):  # sharpened, grain is worse than softness
            wanted[family_of("blur")] = EITHER
    if kind == "clean":
        photo = eight_bits(truth)
    elif kind == "mixture":
        kinds: list[Degradation] = [DEGRADATIONS[i] for i in rng.choice(len(DEGRADATIONS), rng.integers(2, 4), False)]
        photo = mixture(truth, kinds, rng).image
        wanted[[family_of(kind) for kind in kinds]] = 1
    elif kind == "lowlight":
        photo = _darkened(truth, rng)
        wanted[family_of(kind)] = 1
    else:
        photo = degrade(truth, kind, rng).image
        # What is too faint to be seen may be called clean.
        wanted[family_of(kind)] = 1 if psnr(photo, truth) < FAINT_DB else EITHER
    if kind in ("blur", "lowlight"):  # which have a sensor's noise of their own, more or less
        wanted[family_of("noise")] = EITHER
    if rng.random() < 0.2:  # cropped since, so that JPEG blocks may begin anywhere
        photo = photo[rng.integers(0, 8) :, rng.integers(0, 8) :]
    if rng.random() < 0.4:  # stored once more by someone who cares, as most files are
        photo = jpeg(photo, int(rng.integers(*_KEPT_QUALITY)), chroma_halved=bool(rng.random() < 0.5))
    return Example(photo, wanted, sources)


def _darkened(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One in three each: darkness as a sensor takes it, the same with lamps, or without a sensor's grain, as a factor
    on the light or as a curve. Not every dark file is a noisy one, and few are without a lamp."""
    way = rng.integers(3)
    if way == 0:
        return degrade(truth, "lowlight", rng).image
    if way == 1:
        return night(truth, rng)[1].image
    if rng.random() < 0.5:
        return eight_bits(expose(truth, float(1 / np.exp(rng.uniform(*np.log((4, 60))))), float(rng.uniform(0, 0.9))))
    return eight_bits(np.float32(rng.uniform(0.2, 0.8)) * truth ** np.float32(rng.uniform(1.5, 3)))


def _picture(
    photos: PhotoScales, indices: list[int], rng: np.random.Generator, varied: bool
) -> tuple[np.ndarray, tuple[int, int]]:
    """A clean picture f32[H,W,3], and the photos that it is of."""
    first = indices[rng.integers(len(indices))]
    if not varied:
        return eight_bits(_cut(photos.scales[first], *_draw_sides(rng), rng)), (first, NO_PHOTO)
    picture = _piece(photos.scales[first], rng)
    if rng.random() >= _JOINED:
        return eight_bits(picture), (first, NO_PHOTO)
    second = indices[rng.integers(len(indices))]
    other = _piece(photos.scales[second], rng)
    height, width = np.minimum(picture.shape[:2], other.shape[:2])
    joined, share = other[:height, :width].copy(), rng.uniform(*_BORDER)
    seen = np.s_[: int(share * height)] if rng.random() < 0.5 else np.s_[:, : int(share * width)]
    joined[seen] = picture[:height, :width][seen]
    return eight_bits(joined), (first, second)


def _piece(scales: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """A piece f32[H,W,3] of a photo, of any aspect, in colours of its own or others."""
    height, width = _draw_sides(rng)
    warped = warp(scales[0], max(height, width), rng) if rng.random() < _WARPED else None
    piece = _cut(scales, height, width, rng) if warped is None else warped[:height, :width].astype(np.float32) / 255
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    if rng.random() < _GREY:
        piece = np.repeat(piece.mean(axis=2, keepdims=True), 3, axis=2)
    elif rng.random() < _RECOLOURED:
        piece = draw_recoloured(piece, _SATURATION, rng)
    if rng.random() < _REGRADED:
        piece = piece ** np.float32(np.exp(rng.uniform(*np.log(_GAMMA))))
    return np.ascontiguousarray(piece)


def _cut(scales: list[np.ndarray], height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A piece of at most these sides of one of a photo's scales, sometimes resized a little."""
    photo = scales[rng.integers(len(scales))]
    height, width = min(height, photo.shape[0]), min(width, photo.shape[1])
    top, left = (int(rng.integers(0, room + 1)) for room in (photo.shape[0] - height, photo.shape[1] - width))
    piece = photo[top : top + height, left : left + width].astype(np.float32) / 255
    if rng.random() < 0.3:
        factor = rng.uniform(0.6, 1.1)
        shape = (max(round(height * factor), CROP), max(round(width * factor), CROP))
        piece = np.clip(np.stack([enlarge(piece[..., c], *shape) for c in range(3)], -1), 0, 1)
    return piece


def _draw_sides(rng: np.random.Generator) -> tuple[int, int]:
    height, width = np.exp(rng.uniform(np.log(_SIDES[0]), np.log(_SIDES[1]), 2)).astype(int)
    return int(height), int(width)
