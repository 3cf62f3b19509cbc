"""Accuracy-bounded quantization: the most sensitive layers go back to float until no degradation loses too much.

Every attempt is a real file, measured in the target's own runtime. How many layers go back is searched for by doubling
and halving: the ranking says which, the runtime says whether it is enough.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mimdit.errors import CheckFailedError
from mimdit.export.converter import Converter
from mimdit.figures import png
from mimdit.float_layers import ALWAYS_FLOAT, READS_A_CONSTANT
from mimdit.quantize.quality import allowance, decibels, drops, times
from mimdit.quantize.recipe import Recipe, by, float_file
from mimdit.quantize.size import stored
from mimdit.runtimes import find as find_runtime
from mimdit.targets import Precision

if TYPE_CHECKING:
    from mimdit.export.graph import DeployableGraph

__all__ = ["Bounded", "Point", "bound", "pareto_chart"]


@dataclass(frozen=True)
class Point:
    """One attempt: which layers were in float, dB lost per degradation, MB of the model files, ms a tile."""

    floating: tuple[str, ...]
    drop: dict[str, float]
    megabytes: float
    milliseconds: float
    twin: float  # ms a tile of fp32, in the same turns

    @property
    def worst(self) -> float:
        """dB lost where most is."""
        return max(self.drop.values())


@dataclass(frozen=True)
class Bounded:
    """All attempts, and the one that keeps within the bound with the fewest layers in float."""

    points: tuple[Point, ...]
    chosen: Point

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {"points": [asdict(point) for point in self.points], "chosen": asdict(self.chosen)}


def bound(
    graph: "DeployableGraph",
    converter: Converter,
    exporter: Converter,
    precision: Precision,
    recipe: Recipe,
    max_drop: float,
    ranking: Callable[[], Sequence[str]],
    *,
    threads: int | None = None,
    tell: Callable[[str], object] = lambda line: None,
) -> Bounded:
    """Find the fewest layers; `ranking` gives names, the most sensitive first, and is asked only if it is needed.

    Raises CheckFailedError where the bound is missed with every layer in float: then the loss is not the layers'.
    """
    spec = find_runtime(converter.target)
    checks = recipe.validation(graph).tiles
    with tempfile.TemporaryDirectory(prefix="mimdit-bounded-") as scratch:
        twin = spec.open(float_file(exporter, graph, recipe, Path(scratch)), graph.tile, threads)
        before = decibels(twin, checks)
        points: dict[int, Point] = {}

        def attempt(layers: Sequence[str]) -> bool:
            folder = Path(scratch) / str(len(layers))
            folder.mkdir()
            file = folder / f"{graph.name}{converter.suffix}"
            by(converter, recipe.keeping(graph.name, layers)).convert([graph], precision, folder, "0" * 16)
            runtime = spec.open(file, graph.tile, threads)
            lost, taken = drops(before, decibels(runtime, checks)), times(runtime, twin, checks[0])
            points[len(layers)] = Point(tuple(layers), lost, stored(folder) / 1e6, *taken)
            good = all(lost[kind] <= allowance(max_drop, before[kind]) for kind in lost)
            words = ", ".join(f"{kind} {drop:+.3f}" for kind, drop in lost.items())
            tell(f"{graph.name}, {len(layers)} layers back in float: dB lost {words}; {taken.speedup:.2f}× fp32")
            return good

        enough = 0
        if not attempt(()):
            always = {READS_A_CONSTANT, *(ALWAYS_FLOAT if precision == "w8a8" else ())}
            ordered = [layer for layer in ranking() if layer not in always]
            low, enough = 0, 1
            while not attempt(ordered[:enough]):
                if enough >= len(ordered):
                    raise CheckFailedError(
                        f"{graph.name} loses {points[enough].worst:.3f} dB with every layer in float: "
                        f"the bound of {max_drop} dB cannot be kept at {precision}"
                    )
                low, enough = enough, min(2 * enough, len(ordered))
            while enough - low > 1:
                middle = (low + enough) // 2
                low, enough = (low, middle) if attempt(ordered[:middle]) else (middle, enough)
    return Bounded(tuple(points[count] for count in sorted(points)), points[enough])


def pareto_chart(found: Bounded, title: str, max_drop: float) -> bytes:
    """PNG: dB lost against latency and against size; the chosen attempt is filled, the bound is a line."""

    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    axes = [("times faster than fp32", lambda p: p.twin / p.milliseconds), ("MB", lambda p: p.megabytes)]
    for panel, (label, value) in zip(panels, axes, strict=True):
        for point in found.points:
            chosen = point is found.chosen
            panel.plot(value(point), point.worst, "o", color="#0b6e4f", fillstyle="full" if chosen else "none")
            panel.annotate(f" {len(point.floating)}", (value(point), point.worst), fontsize=8)
        panel.axhline(max_drop, color="#999", linestyle="--", linewidth=1)
        panel.set_xlabel(label)
    panels[0].set_ylabel("dB lost where most is")
    figure.suptitle(f"{title}; numbers: layers back in float")
    return png(figure, 110)
