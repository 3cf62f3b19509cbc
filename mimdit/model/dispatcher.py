"""The dispatcher: one look at a whole photo → how sure it is of each degradation family.

Haze and darkness are facts of the whole photo: the reduced view shows them. Noise, blur, rain and JPEG blocks live in
native pixels: the crops show them, and beside their colours what a 3×3 mean leaves over. Which crop says most differs
by family (noise shows in the flattest, blur in the sharpest), so over crops and places the mean, the largest and the
smallest of every feature are kept.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mimdit.config import PHOTO_SIZE
from mimdit.errors import CheckpointError
from mimdit.files import write_folder
from mimdit.model.branch import log_form
from mimdit.model.routing_view import strided, summary, with_fine
from mimdit.targets import DISPATCHER_CLASSES, Variant
from mimdit.views import CROP, CROPS

WEIGHTS = "dispatcher.safetensors"
CONFIG = "config.json"
_CROP_WIDTHS = (16, 24, 40, 40)
_VIEW_WIDTHS = (16, 24, 40)
_HIDDEN = 64


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
    """About 85,000 parameters; 50 million multiply-accumulates a photo, whatever its size."""

    def __init__(self) -> None:
        super().__init__()
        self.crop_layers = strided(9, _CROP_WIDTHS)
        self.view_layers = strided(7, _VIEW_WIDTHS)
        self.hidden = nn.Linear(3 * (_CROP_WIDTHS[-1] + _VIEW_WIDTHS[-1]), _HIDDEN)
        self.score = nn.Linear(_HIDDEN, len(DISPATCHER_CLASSES))

    def forward(self, photo: Tensor, crops: Tensor) -> Tensor:
        """photo f32[B,3,64,64] and crops f32[B·16,3,64,64], sRGB-encoded, 0..1 → scores f32[B,6] in 0..1.

        The scores stand in the order of DISPATCHER_CLASSES; several are high where degradations are mixed.
        """
        return torch.sigmoid(self.logits(photo, crops))

    def logits(self, photo: Tensor, crops: Tensor) -> Tensor:
        """The scores before the sigmoid, f32[B,6], for the loss."""
        native = self.crop_layers(with_fine(crops))  # [B·16,C,4,4]
        native = native.unflatten(0, (-1, CROPS)).transpose(1, 2).flatten(2)  # [B,C,16·4·4]
        darkest = photo.amin(1, keepdim=True)  # haze lifts the darkest colour of every place
        whole = self.view_layers(torch.cat([photo, log_form(photo), darkest], 1)).flatten(2)  # [B,C,8·8]
        features = torch.cat([summary(native), summary(whole)], 1)
        return self.score(F.relu(self.hidden(features)))


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
