"""What the gate tolerates: defaults that fit most, and gate.toml for what a project wants otherwise."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mimdit.errors import MimditError
from mimdit.strict_json import describe

__all__ = ["Rules", "load_rules"]


class Rules(BaseModel):
    """Each is the smallest loss that matters; gate.toml names those that differ, as `key = number`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    accuracy_db: float = Field(default=0.1, gt=0, description="mean PSNR of a degradation, against the baseline")
    anchor_db: float = Field(default=0.25, gt=0, description="the same, against the anchor: many small losses add up")
    worst_db: float = Field(default=1.0, gt=0, description="PSNR of any single photo")
    instruction_set_db: float = Field(
        default=0.01, ge=0, description="what another instruction set may change without being better or worse"
    )
    drift_levels: float = Field(
        default=0.5, gt=0, description="distance of any photo from the golden's, root mean square of 255 levels"
    )
    seam_levels: float = Field(default=3.0, gt=0, description="rise of the highest seam, against the baseline's photo")
    patch_levels: float = Field(default=3.0, gt=0, description="rise of the largest brightness step between 64×64 px")
    cast_levels: float = Field(default=3.0, gt=0, description="rise of the colour cast")
    size: float = Field(default=0.01, gt=0, description="share of the baseline's bytes")
    latency: float = Field(default=0.03, gt=0, description="share of the median time, interleaved on one machine")
    memory: float = Field(default=0.05, gt=0, description="share of the peak, on one machine")
    energy: float = Field(default=0.05, gt=0, description="share of the joules a photo, on one machine")


def load_rules(path: Path | None) -> Rules:
    """The rules of a gate.toml, by default all defaults. Raises MimditError for an unknown key or a bad value."""
    if path is None:
        return Rules()
    try:
        import tomllib
    except ModuleNotFoundError:
        raise MimditError(
            f"{path}: reading TOML takes Python 3.11 or later: gate there, or with the defaults"
        ) from None
    try:
        return Rules.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise MimditError(f"{path}: cannot be read ({error.strerror}): name a gate.toml") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MimditError(f"{path}: is no TOML ({error})") from None
    except ValidationError as error:
        raise MimditError(f"{path}: {describe(error)}; the keys are {', '.join(Rules.model_fields)}") from None
