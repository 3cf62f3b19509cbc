"""The dispatcher: one look at a whole photo → how sure it is of each degradation family.

Haze and darkness are facts of the whole photo: the reduced view shows them. Noise, blur, rain and JPEG blocks live in
native pixels: the crops show them. Both are summed up in fixed statistics, which a small network weighs.
"""

from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mimdit.config import PHOTO_SIZE
from mimdit.errors import CheckpointError
from mimdit.files import write_folder
from mimdit.model.statistics import COUNT, LIGHT, in_units, statistics
from mimdit.targets import DISPATCHER_CLASSES, Variant
from mimdit.views import CROP, CROPS

WEIGHTS = "dispatcher.safetensors"
CONFIG = "config.json"
MEMBERS = 6  # networks whose scores are averaged; each had other photos to learn from
_HIDDEN = 64
_DROPOUT = 0.5  # many examples, few photos
# Told by how the whole photo is lit alone. Given the detail of its pixels too, a network knows the training photos by
# that: of haze in photos that it has not seen it found less, and hardly any in mixtures (docs/architecture.md).
_BY_LIGHT: tuple[Variant, ...] = ("dehaze", "lowlight")
_BY_DETAIL = tuple(name for name in DISPATCHER_CLASSES if name not in _BY_LIGHT)
_ORDER = [(*_BY_LIGHT, *_BY_DETAIL).index(name) for name in DISPATCHER_CLASSES]


class DispatcherConfig(BaseModel):
    """What goes with the weights into the bundle, and how they came to be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float = Field(ge=0, le=1, description="a score above it says yes")
    classes: tuple[Variant, ...] = DISPATCHER_CLASSES
    crop: int = CROP
    crops: int = CROPS
    steps: int = Field(description="optimizer steps that the weights had")
    clean_flagged: float = Field(
        description="of the clean photos that scores were calibrated on, the share with one above the threshold"
    )


class Dispatcher(nn.Module):
    """About 200,000 parameters; 90 million multiply-accumulates a photo, whatever its size."""

    def __init__(self) -> None:
        super().__init__()
        # Of the training examples' statistics; set once by training, and part of the weights.
        self.mean: Tensor
        self.spread: Tensor
        self.offset: Tensor
        self.register_buffer("mean", torch.zeros(COUNT))
        self.register_buffer("spread", torch.ones(COUNT))
        self.register_buffer("offset", torch.zeros(len(DISPATCHER_CLASSES)))  # of the scores before the sigmoid
        self.members = nn.ModuleList(DispatcherMember() for _ in range(MEMBERS))

    def forward(self, photo: Tensor, crops: Tensor) -> Tensor:
        """photo f32[B,3,64,64] and crops f32[B·16,3,64,64], sRGB-encoded, 0..1 → scores f32[B,6] in 0..1.

        The scores stand in the order of DISPATCHER_CLASSES; several are high where degradations are mixed.
        """
        found = self.normalised(statistics(photo, crops))
        logits = torch.stack([member(found) for member in self.members]).mean(0)
        return torch.sigmoid(logits + self.offset)

    def normalised(self, found: Tensor) -> Tensor:
        """Statistics f32[B,COUNT] → the same in the units of the training examples."""
        return in_units(found, self.mean, self.spread)


class DispatcherMember(nn.Module):
    """Normalised statistics f32[B,COUNT] → scores before the sigmoid, f32[B,6]."""

    def __init__(self) -> None:
        super().__init__()
        self.by_light = _network(LIGHT, len(_BY_LIGHT))
        self.by_detail = _network(COUNT, len(_BY_DETAIL))

    def forward(self, normalised: Tensor) -> Tensor:
        return torch.cat([self.by_light(normalised[:, :LIGHT]), self.by_detail(normalised)], 1)[:, _ORDER]


def _network(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, _HIDDEN),
        nn.LeakyReLU(0.1),
        nn.Dropout(_DROPOUT),
        nn.Linear(_HIDDEN, _HIDDEN // 2),
        nn.LeakyReLU(0.1),
        nn.Linear(_HIDDEN // 2, outputs),
    )


def example_inputs() -> tuple[Tensor, Tensor]:
    """Inputs of the right shapes for one photo: f32[1,3,64,64], f32[16,3,64,64]."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, 3, PHOTO_SIZE, PHOTO_SIZE, generator=generator), torch.rand(
        CROPS, 3, CROP, CROP, generator=generator
    )


def save_dispatcher(model: Dispatcher, config: DispatcherConfig, folder: Path) -> None:
    """Write weights (fp32) and config, replacing a dispatcher that is there."""

    def fill(partial: Path) -> None:
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, partial / WEIGHTS)
        (partial / CONFIG).write_text(config.model_dump_json(indent=1) + "\n")

    write_folder(folder, fill, overwrite=True)


def load_dispatcher(folder: Path) -> tuple[Dispatcher, DispatcherConfig]:
    """The dispatcher for inference; raises CheckpointError where config or weights are not usable."""
    model = Dispatcher()
    try:
        config = DispatcherConfig.model_validate_json((folder / CONFIG).read_bytes())
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, ValidationError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"no dispatcher in {folder}: {reason}; run  mimdit train-dispatcher  first") from None
    return model.eval(), config
