"""Validation while training: PSNR per degradation on held-out photos, dead units, and a sheet to look at."""

from collections import defaultdict
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from mimdit.files import write_file
from mimdit.metrics import psnr
from mimdit.train.config import Ingredient, TrainConfig
from mimdit.train.data import Batch, Examples, PhotoScales, collate
from mimdit.train.objective import Objective
from mimdit.train.units import dead_share, watched

EXAMPLES_PER_KIND = 4


def validation_batches(photos: PhotoScales, indices: list[int], config: TrainConfig) -> list[Batch]:
    """The fixed validation examples of every ingredient in the config's mix: one batch a draw, one example a kind."""
    kinds: list[Ingredient] = [kind for kind, share in config.mix.items() if share > 0]
    examples = Examples(photos, indices, config, kinds)
    return [collate([examples[row * len(kinds) + i] for i in range(len(kinds))]) for row in range(EXAMPLES_PER_KIND)]


def evaluate(objective: Objective, checks: list[Batch], sheet: Path) -> tuple[dict[str, float], float]:
    """Mean PSNR in dB per kind, and the share of units that are dead on all of them, 0..1.

    Writes a PNG with a column a kind: degraded, restored, truth.
    """
    with watched(objective.model) as units:
        scores = _scores(objective, checks, sheet)
    return scores, dead_share(units)


def _scores(objective: Objective, checks: list[Batch], sheet: Path) -> dict[str, float]:
    scores: dict[str, list[float]] = defaultdict(list)
    columns: list[np.ndarray] = []
    for row, batch in enumerate(checks):
        restored = objective.restore(batch).float()
        for i, kind in enumerate(batch.kinds):
            scores[kind].append(psnr(_hwc(restored[i]), _hwc(batch.truth[i])))
        if row == 0:
            columns = [
                np.concatenate([_hwc(part[i]) for part in (batch.image, restored, batch.truth)])
                for i in range(len(batch.kinds))
            ]
    file = BytesIO()
    Image.fromarray((np.concatenate(columns, 1) * 255 + 0.5).astype(np.uint8)).save(file, "PNG")
    sheet.parent.mkdir(parents=True, exist_ok=True)
    write_file(sheet, file.getvalue(), overwrite=True)
    return {kind: float(np.mean(values)) for kind, values in scores.items()}


def _hwc(image: Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).clamp(0, 1).cpu().numpy()
