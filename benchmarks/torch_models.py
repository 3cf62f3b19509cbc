"""Model folders in an accuracy run: the reference, dynamic students, frozen variants. The one method that needs torch.

They restore through the tiler that bundles restore through, in the same tiles: what differs from a bundle's figures is
the model's doing.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from mimdit.benchmarks.datasets import Group
from mimdit.benchmarks.methods import Answer, Attempt, Method, check_choices, chosen
from mimdit.config import TILE_OVERLAP
from mimdit.errors import MissingPackageError
from mimdit.pixels import from_unit
from mimdit.runtimes.base import Runtime
from mimdit.runtimes.tiler import restore_strips
from mimdit.targets import SETS_LIGHT, VARIANTS, Variant

if TYPE_CHECKING:
    from mimdit.model.mimdit import MiMDiT

__all__ = ["TorchRuntime", "is_collection", "model_method", "restore_photo"]

_TILE = 256  # px, as `mimdit build` makes them by default
_CONFIG = "config.json"


def is_collection(folder: Path) -> bool:
    """Whether a folder holds one frozen variant each, as `mimdit freeze` leaves it, and is not a model itself."""
    return not (folder / _CONFIG).is_file() and any(_variant_folders(folder))


def model_method(folder: Path, choices: Sequence[str], steps: int, threads: int | None = None) -> Method:
    """A model folder, or a folder of frozen variants, sampled in so many steps.

    `choices` are for a folder of variants, as in `bundle_method`; a single model restores every group. Raises
    CheckpointError, and MissingPackageError without torch.
    """
    try:
        import torch

        from mimdit.model.checkpoint import checkpoint_hash, load_model
    except ModuleNotFoundError as error:
        raise MissingPackageError(error.name or "torch", "train") from None
    if threads:
        torch.set_num_threads(threads)

    name = folder.parent.name if folder.name == "model" else folder.name
    name = f"{name}, {steps} step{'s' if steps > 1 else ''}"
    if is_collection(folder):
        folders = dict(_variant_folders(folder))
        check_choices(choices, tuple(folders), dispatcher=False)
        restorers = {variant: _restorer(load_model(path), steps) for variant, path in folders.items()}

        def attempts(group: Group) -> list[Attempt]:
            names = chosen(choices, group, tuple(folders))
            return [
                Attempt(name, partial(restorers[name], used=name, variant=name)) for name in names if name in restorers
            ]

        return Method(name, f"{len(folders)} frozen variants", attempts)

    model = load_model(folder)
    plan = model.shape.plan
    label = plan.variant if plan else "dynamic"
    restore = _restorer(model, steps)
    checkpoint = f"checkpoint {checkpoint_hash(model)[:16]}"

    def attempt(group: Group) -> list[Attempt]:
        variant: Variant = plan.variant if plan else group.variant or "general"
        identity = f"{checkpoint} {steps} {variant in SETS_LIGHT} {_TILE} {TILE_OVERLAP}"
        return [Attempt(label, partial(restore, used=label, variant=variant), lambda: identity)]

    return Method(name, checkpoint, attempt)


def _variant_folders(folder: Path) -> "list[tuple[Variant, Path]]":
    return [(name, folder / name / "model") for name in VARIANTS if (folder / name / "model" / _CONFIG).is_file()]


def restore_photo(photo: np.ndarray, runtime: Runtime, variant: Variant) -> np.ndarray:
    """[H,W,3] of any pixel dtype → the same, restored in tiles as the variant's are, whatever the model is."""
    strips = restore_strips(photo, runtime, TILE_OVERLAP, align=variant in SETS_LIGHT)
    return np.concatenate([from_unit(strip, photo.dtype) for strip in strips])


def _restorer(model: "MiMDiT", steps: int) -> Callable[..., Answer]:
    runtime = TorchRuntime(model, steps)

    def restore(photo: np.ndarray, used: str, variant: Variant) -> Answer:
        return Answer(restore_photo(photo, runtime, variant), used)

    return restore


class TorchRuntime(Runtime):
    """A model in eager mode on the processor or on CUDA, behind the contract of every runtime."""

    def __init__(self, model: "MiMDiT", steps: int, device: Literal["cpu", "cuda"] = "cpu"):
        super().__init__("torch", "gpu" if device == "cuda" else "cpu", _TILE)
        self._model = model.eval().requires_grad_(False).to(device)  # pyright: ignore[reportArgumentType]
        self._steps = steps
        self._device = device

    def _run(self, image: np.ndarray, photo: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            tensors = (torch.from_numpy(array).to(self._device) for array in (image, photo))
            return self._model(*tensors, steps=self._steps).float().cpu().numpy()
