"""One thing that happens to a photo on its way from the scene into a file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Stage = Literal["scene", "lens", "sensor", "file"]
Setting = float | int | str

STAGES: tuple[Stage, ...] = get_args(Stage)  # in the order in which light meets them


@dataclass(frozen=True)
class Step:
    """`apply` maps an encoded f32[H,W,3] to another; `settings` are the parameters drawn for it, for logs and tests.

    A kind may be several steps. Low light is darkness in the scene *and* noise on the sensor: when both low light and
    blur are asked for, the blur comes between.
    """

    stage: Stage
    settings: Mapping[str, Setting]
    apply: Callable[[np.ndarray, np.random.Generator], np.ndarray]
