"""The model's own sampling, as it is: PSNR, FLIP and sharpness over steps 1 to 20, and the students beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from mimdit.benchmarks.datasets import Group
from mimdit.benchmarks.quality import quality
from mimdit.benchmarks.torch_models import TorchRuntime, restore_photo
from mimdit.config import PHOTO_SIZE
from mimdit.model.checkpoint import load_model
from mimdit.model.cost import gmac
from mimdit.model.mimdit import MiMDiT
from mimdit.pixels import to_unit

__all__ = ["COST_TILE", "Sampled", "Sampler", "cost", "gradient_ratio", "sampled", "samplers"]

COST_TILE = 256  # px


@dataclass(frozen=True)
class Sampler:
    """A model folder sampled in so many steps."""

    name: str
    steps: int
    model: MiMDiT


@dataclass(frozen=True)
class Sampled:
    """One group restored by one sampler, means over its photos. "input" of 0 steps is the photos as they were.

    sharpness: mean size of the restored photo's gradient over that of the truth; below 1 is softer, above 1 is noisier.
    """

    degradation: str
    dataset: str
    sampler: str
    steps: int
    psnr: float
    flip: float | None
    sharpness: float


def samplers(folder: Path, reference_steps: Sequence[int]) -> list[Sampler]:
    """The reference at each of these steps, and every student-N in N steps. Raises CheckpointError."""
    reference = load_model(folder / "reference").eval()
    found = [Sampler("reference", steps, reference) for steps in reference_steps]
    students = sorted(folder.glob("student-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    return found + [Sampler("student", int(path.name.rpartition("-")[2]), load_model(path).eval()) for path in students]


def sampled(
    groups: Sequence[Group], choices: Sequence[Sampler], advance: Callable[[], object] = lambda: None
) -> list[Sampled]:
    """Every group with a truth through every sampler, in the tiles that bundles use. Raises PhotoError."""
    rows = []
    for group in groups:
        pairs = [pair for case in group.cases if (pair := case.load()).truth is not None]
        if not pairs:
            continue
        inputs = [pair.input for pair in pairs]
        truths = [pair.truth for pair in pairs if pair.truth is not None]
        rows.append(_row(group, "input", 0, inputs, truths))
        for choice in choices:
            runtime = TorchRuntime(choice.model, choice.steps)
            restored = [restore_photo(photo, runtime, group.variant or "general") for photo in inputs]
            rows.append(_row(group, choice.name, choice.steps, restored, truths))
            advance()
    return rows


def _row(group: Group, sampler: str, steps: int, photos: Sequence[np.ndarray], truths: Sequence[np.ndarray]) -> Sampled:
    found = [quality(photo, truth) for photo, truth in zip(photos, truths, strict=True)]
    flips = [q.flip for q in found if q.flip is not None]
    return Sampled(
        degradation=group.degradation,
        dataset=group.dataset,
        sampler=sampler,
        steps=steps,
        psnr=fmean(q.psnr for q in found if q.psnr is not None),
        flip=fmean(flips) if flips else None,
        sharpness=fmean(map(gradient_ratio, photos, truths)),
    )


def gradient_ratio(photo: np.ndarray, truth: np.ndarray) -> float:
    """Mean size of the gradient of two u8[H,W,3], the first over the second."""

    def mean_gradient(pixels: np.ndarray) -> float:
        down, right = np.gradient(to_unit(pixels), axis=(0, 1))
        return float(np.hypot(down, right).mean())

    return mean_gradient(photo) / max(mean_gradient(truth), 1e-6)


def cost(model: MiMDiT, steps: int) -> tuple[int, float]:
    """Parameters, and 10⁹ multiply-accumulates of a tile: of dynamic routing only the sub-experts that it chose."""
    image, photo = torch.rand(1, 3, COST_TILE, COST_TILE), torch.rand(1, 3, PHOTO_SIZE, PHOTO_SIZE)
    return sum(p.numel() for p in model.parameters()), gmac(lambda: model(image, photo, steps=steps))
