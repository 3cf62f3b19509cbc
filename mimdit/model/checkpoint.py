"""Models on disk: diffusers folders (config.json + safetensors), dynamic or frozen, and the hash that names them."""

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError

from mimdit.errors import CheckpointError
from mimdit.files import write_folder
from mimdit.model.difference import NOTE, apply_difference, read_note
from mimdit.model.mimdit import MiMDiT

MAX_CHAIN = 2  # differences on top of each other: a student's from the reference's from the first student


def save_model(model: MiMDiT, folder: Path, *, half: bool = False) -> None:
    """Write a dynamic model in diffusers' format; `half` stores fp16, which halves what the repository carries."""

    def fill(partial: Path) -> None:
        kept = model
        if half:
            kept = MiMDiT.from_preset(model.shape)
            kept.load_state_dict(model.state_dict())
            kept = kept.half()
        for parameter in kept.parameters():  # safetensors wants the default memory format
            parameter.data = parameter.data.contiguous()
        kept.save_pretrained(partial)

    write_folder(folder, fill, overwrite=True)


def load_model(folder: Path, _chain: int = 0) -> MiMDiT:
    """A model in fp32, whole or stored as a difference; raises CheckpointError where the folder is not usable."""
    if (folder / NOTE).is_file():
        base, digest = read_note(folder)
        if _chain >= MAX_CHAIN:
            raise CheckpointError(f"{folder}: more than {MAX_CHAIN} differences on top of each other: fetch them again")
        model = load_model(base, _chain + 1)
        if checkpoint_hash(model) != digest:
            raise CheckpointError(f"{folder} was made for other weights than those in {base}: fetch both again")
        return _finite(apply_difference(model, folder), folder)
    if not (folder / MiMDiT.config_name).is_file():
        raise CheckpointError(f"no model in {folder}: expected a folder with config.json and safetensors weights")
    try:
        model, report = MiMDiT.from_pretrained(  # pyright: ignore[reportGeneralTypeIssues]
            folder, torch_dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"the model in {folder} cannot be loaded: {' '.join(str(error).split())}") from None
    if report["missing_keys"]:  # diffusers fills them at random and only warns
        raise CheckpointError(f"the model in {folder} lacks weights, first {sorted(report['missing_keys'])[0]}")
    return _finite(model, folder)


def _finite(model: MiMDiT, folder: Path) -> MiMDiT:
    bad = [name for name, tensor in model.state_dict().items() if not torch.isfinite(tensor).all()]
    if bad:
        raise CheckpointError(f"{folder}: weights that are not finite, first {bad[0]}: train it again")
    return model


def checkpoint_hash(model: torch.nn.Module) -> str:
    """sha256 over names, shapes and fp32 bytes of all weights, in name order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().float().contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()
