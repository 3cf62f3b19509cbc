"""How graphs are quantized: on which photos activations were seen, and which layers stay in float.

A layer is a module of the network with a weight, called as the network calls it: `codec.encoder.stem`. Every target is
told in these names, so that one ranking of layers serves all of them.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimdit.export.converter import Convert, Converter
from mimdit.files import write_folder
from mimdit.float_layers import ALWAYS_FLOAT, READS_A_CONSTANT
from mimdit.quantize.calibration import SEED, TILES, CalibrationSet, draw
from mimdit.targets import VARIANT_DEGRADATIONS, Precision

if TYPE_CHECKING:
    from mimdit.export.graph import DeployableGraph

__all__ = ["LARGE", "REVISION", "TOLERANCE", "Recipe", "by", "float_file", "layer_of"]

# Largest error on 0..1 that parity allows, on any tile. It guards against files that are broken; what a file loses on
# photos is what `--max-drop` bounds. At w8a8 a checkerboard of single pixels is off by 65 levels of 255, photos by 12.
TOLERANCE: dict[Precision, float] = {"w8": 12 / 255, "w8a8": 0.5, "p6": 24 / 255}

# Raised when quantizers write other files of the same network: what a work folder holds is then measured again.
REVISION = 3

# Elements from which on a constant that stays in float is stored in 16 bits; no vector of scales has as many.
LARGE = 4096

_VALIDATION_TILES = 6  # of each degradation

_UNKNOWN_ID = "0" * 16  # what float files are called before their bundle is known


@dataclass(frozen=True)
class Recipe:
    """`floating`: graph name → layers that stay in float; with w8a8 beside ALWAYS_FLOAT.

    `photos`: the folder that calibration tiles are drawn from, None for the photos of the package.
    `work`: a folder where float files are kept between runs, so that a second attempt begins with them.
    """

    photos: Path | None = None
    tiles: int = TILES
    seed: int = SEED
    floating: Mapping[str, Sequence[str]] = field(default_factory=dict)
    work: Path | None = None

    def calibration(self, side: int) -> CalibrationSet:
        """The tiles of one side; drawn once a process."""
        return _drawn(self.photos, side, self.tiles, self.seed)

    def validation(self, graph: "DeployableGraph") -> CalibrationSet:
        """The tiles that layers are chosen by: the variant's own degradations, on other photos where there are some."""
        kinds = VARIANT_DEGRADATIONS[graph.variant]
        return draw(
            self.photos,
            side=graph.tile,
            tiles=_VALIDATION_TILES * len(kinds),
            seed=self.seed,
            kinds=kinds,
            validation=True,
        )

    def kept(self, graph: "DeployableGraph", precision: Precision) -> frozenset[str]:
        """The layers of a graph that stay in float."""
        always = (*ALWAYS_FLOAT, READS_A_CONSTANT) if precision == "w8a8" else (READS_A_CONSTANT,)
        return frozenset(always) | frozenset(self.floating.get(graph.name, ()))

    def kept_weights(self, graph: "DeployableGraph", precision: Precision) -> frozenset[str]:
        """The same of weights, which are weights whatever their layer reads: for quantizers that treat them apart."""
        return self.kept(graph, precision) - {READS_A_CONSTANT}

    def at(self, work: Path) -> "Recipe":
        """The same, with a work folder."""
        return replace(self, work=work)

    def keeping(self, name: str, layers: Sequence[str]) -> "Recipe":
        """The same, with other layers of one graph in float."""
        return replace(self, floating={**self.floating, name: tuple(layers)})


@cache
def _drawn(photos: Path | None, side: int, tiles: int, seed: int) -> CalibrationSet:
    return draw(photos, side=side, tiles=tiles, seed=seed)


def by(converter: Converter, recipe: Recipe) -> Converter:
    """A quantizer that goes by a recipe; as listed in QUANTIZERS it goes by the default one."""

    def told(convert: Convert) -> Convert:
        return partial(convert, recipe=recipe)  # pyright: ignore[reportCallIssue]  every quantizer takes one

    platforms = {name: told(convert) for name, convert in converter.platforms.items()}
    return replace(converter, convert=told(converter.convert), platforms=platforms)


def float_file(exporter: Converter, graph: "DeployableGraph", recipe: Recipe, scratch: Path) -> Path:
    """One graph as the target's exporter writes it at fp32: in `recipe.work`, if not there yet, or in `scratch`."""
    folder = (recipe.work or scratch) / f"float-{exporter.target}-{_key(exporter, graph)}"
    path = folder / f"{graph.name}{exporter.suffix}"
    if not path.exists():
        write_folder(folder, lambda partial: exporter.convert([graph], "fp32", partial, _UNKNOWN_ID), overwrite=True)
    return path


def layer_of(weight: str | None) -> str | None:
    """`model.codec.encoder.stem.weight` → `codec.encoder.stem`; None for what is no weight of a layer."""
    if weight is None or not weight.removesuffix(".half").endswith(".weight"):
        return None
    return weight.removesuffix(".half").removesuffix(".weight").removeprefix("model.")


def _key(exporter: Converter, graph: "DeployableGraph") -> str:

    content: list[Any] = [graph.checkpoint, graph.tile, graph.steps, exporter.platform]
    content += [version(name) for name in ("mimdit", "torch")]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]
