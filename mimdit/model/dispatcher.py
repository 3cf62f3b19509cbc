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
from mimdit.model.statistics import COUNT, statistics
from mimdit.targets import DISPATCHER_CLASSES, Variant
from mimdit.views import CROP, CROPS

WEIGHTS = "dispatcher.safetensors"
CONFIG = "config.json"
_HIDDEN = 96
_DROPOUT = 0.5  # 5,000 examples of 58 photos are few


class DispatcherConfig(BaseModel):
    """What goes with the weights into the bundle, and how they came to be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float = Field(ge=0, le=1, description="a score above it says yes")
    classes: tuple[Variant, ...] = DISPATCHER_CLASSES
    crop: int = CROP
    crops: int = CROPS
    steps: int = Field(description="optimizer steps that the weights had")
    clean_flagged: float = Field(description="share of clean validation photos with a score above the threshold")


class Dispatcher(nn.Module):
    """About 25,000 parameters; 20 million multiply-accumulates a photo, whatever its size."""

    def __init__(self) -> None:
        super().__init__()
        # Of the training examples' statistics; set once by training, and part of the weights.
        self.mean: Tensor
        self.spread: Tensor
        self.register_buffer("mean", torch.zeros(COUNT))
        self.register_buffer("spread", torch.ones(COUNT))
        self.hidden = nn.Sequential(
            nn.Linear(COUNT, _HIDDEN),
            nn.LeakyReLU(0.1),
            nn.Dropout(_DROPOUT),
            nn.Linear(_HIDDEN, _HIDDEN // 2),
            nn.LeakyReLU(0.1),
        )
        self.score = nn.Linear(_HIDDEN // 2, len(DISPATCHER_CLASSES))

    def forward(self, photo: Tensor, crops: Tensor) -> Tensor:
        """photo f32[B,3,64,64] and crops f32[B·16,3,64,64], sRGB-encoded, 0..1 → scores f32[B,6] in 0..1.

        The scores stand in the order of DISPATCHER_CLASSES; several are high where degradations are mixed.
        """
        return torch.sigmoid(self.logits(self.normalised(statistics(photo, crops))))

    def normalised(self, found: Tensor) -> Tensor:
        """Statistics f32[B,COUNT] → the same in units of their spread, cut at five: an odd photo stays an odd photo."""
        return ((found - self.mean) / self.spread).clamp(-5, 5)

    def logits(self, normalised: Tensor) -> Tensor:
        """The scores before the sigmoid, f32[B,6], for the loss."""
        return self.score(self.hidden(normalised))


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
