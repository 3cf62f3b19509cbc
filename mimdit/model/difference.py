"""A model stored as what differs from another one: the reference and its students share most of their weights.

The folder holds `difference.json` (which base, and the hash of its weights) and `difference.safetensors` (the tensors
that differ, in fp16).
"""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mimdit.errors import CheckpointError
from mimdit.files import write_folder
from mimdit.model.mimdit import MiMDiT

NOTE = "difference.json"
TENSORS = "difference.safetensors"


def save_difference(model: MiMDiT, base: MiMDiT, base_name: str, base_hash: str, folder: Path) -> None:
    """Write what makes `model`, rounded to fp16 values, of `base`, which has such and lies beside `folder`.

    Raises CheckpointError where the two differ in shape.
    """
    if model.shape != base.shape:
        raise CheckpointError(f"{base_name} is no base for this model: their configs differ")
    old = base.state_dict()
    rounded = {name: tensor.detach().half().contiguous() for name, tensor in model.state_dict().items()}
    # By their bits: hashes tell −0 from 0, and comparing values does not.
    changed = {name: x for name, x in rounded.items() if not torch.equal(_bits(x), _bits(old[name].half()))}

    def fill(partial: Path) -> None:
        save_file(changed, partial / TENSORS)
        (partial / NOTE).write_text(json.dumps({"base": base_name, "sha256": base_hash}, indent=1) + "\n")

    write_folder(folder, fill, overwrite=True)


def _bits(half: torch.Tensor) -> torch.Tensor:
    return half.contiguous().view(torch.int16)


def read_note(folder: Path) -> tuple[Path, str]:
    """(folder of the base, hash of its weights). The base must lie beside `folder`."""
    try:
        note = json.loads((folder / NOTE).read_text())
        name, digest = str(note["base"]), str(note["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / NOTE} cannot be read ({error!r}): fetch the folder again") from None
    if Path(name).name != name or name in (".", ".."):
        raise CheckpointError(f"{folder / NOTE}: base '{name}' is not the name of a folder beside it")
    return folder.resolve().parent / name, digest


def apply_difference(base: MiMDiT, folder: Path) -> MiMDiT:
    """`base`, in place, with the tensors of `folder`. Raises CheckpointError where they do not belong to it."""
    try:
        tensors = load_file(folder / TENSORS)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder / TENSORS} cannot be read ({error}): fetch the folder again") from None
    state = base.state_dict()
    for name, tensor in tensors.items():
        if name not in state or state[name].shape != tensor.shape:
            raise CheckpointError(f"{folder / TENSORS}: {name} does not fit the base")
        state[name].copy_(tensor)
    return base
