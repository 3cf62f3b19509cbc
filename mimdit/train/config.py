"""What a training run is: read from TOML, refused when a key is unknown, stored beside the weights it made."""

from pathlib import Path
from typing import Literal

import tomllib
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from mimdit.errors import CheckpointError
from mimdit.targets import Degradation, Variant

Objective = Literal["codec", "flow", "distill", "routers"]
VALIDATION_PHOTOS = 8

Ingredient = Degradation | Literal["clean", "mixture"]

EVERYTHING: dict[Ingredient, float] = {
    "clean": 0.04,
    "noise": 0.18,
    "sensor": 0.12,
    "blur": 0.12,
    "haze": 0.13,
    "rain": 0.13,
    "lowlight": 0.13,
    "jpeg": 0.08,
    "mixture": 0.07,
}


class TrainConfig(BaseModel):
    """One stage. `start` is the model folder that it begins from; without it `preset` is initialised afresh."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: Objective
    preset: str = "small"
    start: Path | None = None
    steps: int = Field(gt=0, description="optimizer steps")
    batch: int = Field(default=8, gt=0)
    tile: int = Field(default=128, gt=0, multiple_of=64, description="px; side of the trained tile")
    views: tuple[PositiveInt, ...] = Field(
        default=(2, 2, 2, 3), min_length=1, description="side of the photo over side of the tile, drawn evenly"
    )
    mix: dict[Ingredient, float] = Field(default=EVERYTHING, description="share of each degradation")
    learning_rate: float = Field(default=1e-3, gt=0)
    warmup: int = Field(default=100, ge=0, description="steps of linear warm-up; cosine decay to 2 % follows")
    weight_decay: float = Field(default=0.0, ge=0)
    ema: float = Field(default=0.999, ge=0, lt=1, description="decay of the averaged weights, which are what is kept")
    seed: int = Field(default=0, ge=0)
    log_every: PositiveInt = 20
    evaluate_every: PositiveInt = 500
    save_every: PositiveInt = 200
    validation_photos: int = Field(
        default=VALIDATION_PHOTOS, gt=0, description="photos kept out of training, every n-th of the folder"
    )
    only: tuple[str, ...] = Field(
        default=(), description="parameters that move, by name, e.g. backbone.*; by default what the objective trains"
    )
    # routing: the prior's choice is prescribed, then only taught, then the routers are free
    forced_steps: int = Field(default=0, ge=0)
    taught_steps: int = Field(default=0, ge=0)
    balance_weight: float = 0.01
    # the flow
    pixel_weight: float = Field(default=0.0, ge=0, description="of the pixel loss of the decoded clean latent")
    inversion_steps: int = Field(
        default=0, ge=0, description="of descent from what `start` restores to what decodes to the truth; 0: encode it"
    )
    terminal_share: float = Field(default=0.0, ge=0, le=1, description="of a flow's examples at σ = 1, all noise")
    # distillation
    sampling_steps: int = Field(default=1, gt=0, description="Euler steps that a distilled student takes")
    criterion: Literal["charbonnier", "rmse"] = Field(
        default="charbonnier", description="error of a tile, of a flow also in the latent; rmse is what PSNR is made of"
    )
    reference: Path | None = Field(
        default=None, description="model folder of the reference, whose trajectory is followed"
    )
    reference_steps: int = Field(default=8, gt=0, description="Euler steps of the reference's trajectory")
    trajectory_weight: float = Field(default=0.1, ge=0, description="of the latent loss to the reference's end point")
    trajectory_steps: int = Field(default=0, ge=0, description="optimizer steps over which that weight falls to 0")
    # fine-tuning of a frozen variant: only its experts and gates move
    variant: Variant | None = None
    quantized: bool = Field(default=False, description="a variant's layers compute in the numbers of w8a8")

    @model_validator(mode="after")
    def _consistent(self) -> "TrainConfig":
        if min(self.mix.values(), default=0) < 0 or not any(self.mix.values()):
            raise ValueError("mix: expected shares of at least 0, not all of them 0")
        if bool(self.trajectory_steps) != (self.reference is not None):
            raise ValueError("reference and trajectory_steps belong together: whose trajectory is followed, how long")
        if self.inversion_steps and (self.objective != "flow" or self.start is None):
            raise ValueError("inversion_steps are for a flow that begins from a student: name it as start")
        if self.quantized and self.variant is None:
            raise ValueError("quantized is for frozen variants, whose layers have 8 bits in a file: name the variant")
        return self

    @classmethod
    def read(cls, path: Path) -> "TrainConfig":
        """From a TOML file; raises CheckpointError with the first thing that is wrong."""
        try:
            return cls(**tomllib.loads(path.read_text()))
        except OSError as error:
            raise CheckpointError(f"cannot read the config {path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path} is not TOML: {error}") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = "".join(f"{key}: " for key in first["loc"])
            wrong = first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                wrong = f"no such key; there are {', '.join(cls.model_fields)}"
            raise CheckpointError(f"{path}: {where}{wrong}") from None
