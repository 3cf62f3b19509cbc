"""What each layer costs when it alone is quantized: dB lost on validation tiles, measured in ONNX Runtime.

One ranking serves all targets: which activations 8 bits do not hold is a fact of the network.
"""

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mimdit.errors import MimditError
from mimdit.export import onnx as exporter
from mimdit.figures import png
from mimdit.files import write_file
from mimdit.manifest import Calibration
from mimdit.quantize import onnx
from mimdit.quantize.quality import decibels, drops
from mimdit.quantize.recipe import REVISION, Recipe, float_file
from mimdit.runtimes.onnx import OnnxRuntime
from mimdit.strict_json import describe
from mimdit.targets import Variant

if TYPE_CHECKING:
    from onnx import ModelProto

    from mimdit.export.graph import DeployableGraph

__all__ = ["Layer", "Sensitivity", "Steps", "chart", "default_path", "markdown", "rank", "unseen"]

# The number of steps → what is called after each.
Steps = Callable[[int], Callable[[], object]]


def unseen(total: int) -> Callable[[], object]:
    """Steps that nobody watches."""
    return lambda: None


class Layer(BaseModel):
    """One layer: dB lost per degradation when it alone is quantized to w8a8."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    drop: dict[str, float]

    @property
    def mean(self) -> float:
        return mean(self.drop.values())


class Sensitivity(BaseModel):
    """All layers of a variant, the most sensitive first once it is complete."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    variant: Variant
    tile: int
    checkpoint: str = Field(description="the variant's hash")
    calibration: Calibration
    validation: Calibration
    psnr: dict[str, float] = Field(description="of fp32, per degradation, in dB")
    together: dict[str, float] = Field(description="dB lost when all layers are quantized")
    layers: tuple[Layer, ...]
    complete: bool

    @property
    def ranking(self) -> list[str]:
        """Names of layers, the most sensitive first."""
        return [layer.name for layer in sorted(self.layers, key=lambda layer: -layer.mean)]


def rank(
    graph: "DeployableGraph",
    recipe: Recipe,
    path: Path,
    *,
    threads: int | None = None,
    steps: Steps = unseen,
) -> Sensitivity:
    """Measure every layer; goes on with what `path` holds, and writes it after each layer.

    Raises MimditError where `path` holds another variant's, or other tiles'.
    """

    with tempfile.TemporaryDirectory(prefix="mimdit-sensitivity-") as scratch:
        folder = Path(scratch)
        model = onnx.plain(float_file(exporter.CONVERTER, graph, recipe, folder), graph)
        names = onnx.layers(model)
        tiles, checks = recipe.calibration(graph.tile), recipe.validation(graph)
        found = onnx.ranges(model, tiles)

        def measure(quantized: "ModelProto") -> dict[str, float]:
            write_file(folder / "one.onnx", quantized.SerializeToString(), overwrite=True)
            return decibels(OnnxRuntime(folder / "one.onnx", graph.tile, threads), checks.tiles)

        known = _known(path)
        if known is None:
            before = measure(model)
            together = drops(before, measure(onnx.quantized(model, found, frozenset())))
            known = Sensitivity(
                variant=graph.variant,
                tile=graph.tile,
                checkpoint=graph.checkpoint,
                calibration=tiles.describe(),
                validation=checks.describe(),
                psnr=before,
                together=together,
                layers=(),
                complete=False,
            )
        elif (known.checkpoint, known.calibration, known.validation) != (
            graph.checkpoint,
            tiles.describe(),
            checks.describe(),
        ):
            raise MimditError(f"{path} is of another variant or of other tiles: name another file, or delete it")
        layers = {layer.name: layer for layer in known.layers}
        advance = steps(len(names))
        for name in names:
            if name not in layers:
                drop = drops(known.psnr, measure(onnx.quantized(model, found, frozenset(), only=name)))
                layers[name] = Layer(name=name, drop=drop)
                known = known.model_copy(update={"layers": tuple(layers.values())})
                _write(path, known)
            advance()
    ordered = tuple(sorted(layers.values(), key=lambda layer: -layer.mean))
    known = known.model_copy(update={"layers": ordered, "complete": True})
    _write(path, known)
    return known


def default_path(graph: "DeployableGraph", recipe: Recipe, folder: Path) -> Path:
    """Where a graph's ranking lies in a work folder."""

    settings = f"{graph.checkpoint} {recipe.photos} {recipe.tiles} {recipe.seed} {graph.steps} {REVISION}"
    return folder / f"sensitivity-{graph.name}-{hashlib.sha256(settings.encode()).hexdigest()[:12]}.json"


def markdown(found: Sensitivity, limit: int | None = None) -> str:
    """The table, the most sensitive first."""
    kinds = list(found.psnr)
    lines = [
        f"`{found.variant}` at {found.tile} px: dB lost in ONNX Runtime when one layer alone has 8-bit weights and "
        f"activations, on {sum(found.validation.kinds.values())} tiles. All together: "
        + ", ".join(f"{kind} {found.together[kind]:.3f} of {found.psnr[kind]:.2f}" for kind in kinds)
        + ".",
        "",
        f"| layer | {' | '.join(kinds)} |",
        f"| --- |{' ---: |' * len(kinds)}",
    ]
    for layer in sorted(found.layers, key=lambda layer: -layer.mean)[:limit]:
        lines.append(f"| {layer.name} | {' | '.join(f'{layer.drop[kind]:.4f}' for kind in kinds)} |")
    return "\n".join(lines) + "\n"


def chart(found: Sensitivity, limit: int = 30) -> bytes:
    """PNG: a bar for each of the most sensitive layers."""

    from matplotlib.figure import Figure

    top = sorted(found.layers, key=lambda layer: -layer.mean)[:limit]
    figure = Figure(figsize=(9, 0.8 + 0.24 * len(top)), layout="constrained")
    axes = figure.subplots()
    axes.barh([layer.name for layer in top], [layer.mean for layer in top], color="#0b6e4f")
    axes.invert_yaxis()
    axes.set_xlabel("dB lost when this layer alone is quantized")
    axes.set_title(f"{found.variant}: the {len(top)} most sensitive of {len(found.layers)} layers")
    axes.tick_params(axis="y", labelsize=7)
    return png(figure, 110)


def _known(path: Path) -> Sensitivity | None:
    try:
        return Sensitivity.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise MimditError(f"{path} is no sensitivity of layers ({describe(error)}): name another file") from None


def _write(path: Path, found: Sensitivity) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, (found.model_dump_json(indent=1) + "\n").encode(), overwrite=True)
