"""Training state on disk: weights, averaged weights and optimizer moments as one safetensors file, no pickle.

Everything random in training is drawn from (seed, step), so the step number is all the RNG state there is.
"""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mimdit.errors import CheckpointError
from mimdit.files import write_folder
from mimdit.train.config import TrainConfig

STATE = "state.safetensors"
META = "state.json"


def ema_update(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    """averaged ← decay · averaged + (1 − decay) · model, over the parameters (buffers are constants here)."""
    with torch.no_grad():
        torch._foreach_lerp_(list(averaged.parameters()), list(model.parameters()), 1 - decay)


def save_state(
    folder: Path,
    step: int,
    config: TrainConfig,
    model: nn.Module,
    averaged: nn.Module,
    optimizer: torch.optim.AdamW,
    way: str,
    photos: str,
) -> None:
    """Write the state of a run after `step` optimizer steps, replacing the one before in one rename. `photos` is
    `PhotoScales.digest`."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"ema.{k}": v for k, v in averaged.state_dict().items()}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{k}": torch.as_tensor(v) for k, v in moments.items()}
    # channels_last tensors are not contiguous; clones also part tensors that share memory.
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}

    def fill(partial: Path) -> None:
        save_file(tensors, partial / STATE)
        (partial / META).write_text(
            json.dumps({"step": step, "way": way, "photos": photos, "config": config.model_dump_json()}, indent=1)
        )

    write_folder(folder, fill, overwrite=True)


def load_state(
    folder: Path, config: TrainConfig, model: nn.Module, averaged: nn.Module, optimizer: torch.optim.AdamW, photos: str
) -> tuple[int, str]:
    """Restore a run in place; returns its step and its way of computing. Raises CheckpointError if it does not fit."""
    try:
        meta = json.loads((folder / META).read_text())
        step, way = int(meta["step"]), str(meta["way"])
        begun = TrainConfig.model_validate_json(meta["config"])  # a key that is newer than the run has its default
        tensors = load_file(folder / STATE)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(
            f"the training state in {folder} cannot be read ({error}): remove it to start over"
        ) from None
    if begun != config:
        raise CheckpointError(f"{folder} was trained with another config: choose another --out, or restore the config")
    if meta.get("photos", photos) != photos:
        raise CheckpointError(
            f"{folder} was trained on other photos: choose another --out, or name those with --photos"
        )
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "ema": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        part, key = name.split(".", 1)
        parts[part][key] = tensor
    model.load_state_dict(parts["model"])
    averaged.load_state_dict(parts["ema"])
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in parts["optimizer"].items():
        number, name = key.split(".", 1)
        moments.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    # The fused AdamW walks memory: a moment must lie there as its parameter does (channels_last), or it is scrambled.
    for parameter, of_parameter in optimizer.state.items():
        for name, value in of_parameter.items():
            if value.shape == parameter.shape:
                of_parameter[name] = torch.empty_like(parameter).copy_(value)
    return step, way
