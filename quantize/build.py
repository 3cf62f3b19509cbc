"""A quantized bundle: bounded where a bound is asked for, timed against fp32, and refused where that was demanded."""

import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mimdit.cpu import instruction_set
from mimdit.errors import CheckFailedError
from mimdit.export import EXPORTERS
from mimdit.export.build import AddDispatcher
from mimdit.export.build import build as build_bundle
from mimdit.export.converter import Convert, Converter, find
from mimdit.files import write_file
from mimdit.quantize.bounded import Bounded, bound, pareto_chart
from mimdit.quantize.card import write_card
from mimdit.quantize.quality import times
from mimdit.quantize.recipe import Recipe, by, float_file
from mimdit.quantize.sensitivity import Steps, default_path, rank, unseen
from mimdit.quantize.size import HARDLY, stored
from mimdit.runtimes import find as find_runtime
from mimdit.runtimes import is_reference
from mimdit.targets import Precision

if TYPE_CHECKING:
    from mimdit.export.graph import DeployableGraph
    from mimdit.manifest import Manifest

__all__ = ["Tell", "build", "twin_of"]

Tell = Callable[[str], object]


def build(
    graphs: Sequence["DeployableGraph"],
    converter: Converter,
    precision: Precision,
    out: Path,
    *,
    recipe: Recipe,
    max_drop: float | None = None,
    require_faster: bool = False,
    command: str,
    add_dispatcher: AddDispatcher | None = None,
    overwrite: bool = False,
    threads: int | None = None,
    tell: Tell = lambda line: None,
    steps: Steps = unseen,
) -> "Manifest":
    """As `mimdit.export.build.build`, for a converter of QUANTIZERS. `steps` hears of layers that are measured.

    With `max_drop` what was tried lies in the recipe's work folder, as JSON and as a chart, and is not tried again.
    Raises CheckFailedError also where the bound cannot be kept, and where a file is slower and `require_faster` is set.
    """
    with ExitStack() as scratch:
        if recipe.work is None:
            recipe = recipe.at(Path(scratch.enter_context(tempfile.TemporaryDirectory(prefix="mimdit-work-"))))
        exporter = twin_of(converter)
        if max_drop is not None:
            for graph in graphs:
                chosen = _bounded(graph, converter, exporter, precision, recipe, max_drop, threads, tell, steps)
                recipe = recipe.keeping(graph.name, chosen)
        tiles = recipe.calibration(graphs[0].tile) if precision == "w8a8" else None

        def convert(
            told: Convert, graphs: Sequence["DeployableGraph"], precision: Precision, folder: Path, bundle_id: str
        ) -> None:
            told(graphs, precision, folder, bundle_id)
            if tiles is not None:
                write_card(folder, tiles)
            for graph in graphs:
                _judge(graph, converter, exporter, precision, folder, recipe, threads, require_faster, tell)

        told = by(converter, recipe)
        return build_bundle(
            graphs,
            replace(told, convert=partial(convert, told.convert)),
            precision,
            out,
            command=command,
            add_dispatcher=add_dispatcher,
            calibration=tiles and tiles.describe(),
            floating=recipe.floating,
            overwrite=overwrite,
            tell=tell,
        )


def twin_of(converter: Converter) -> Converter:
    """The exporter whose fp32 files a quantizer's are held to, for the same platform."""
    exporter = find(EXPORTERS, converter.target, "fp32")
    platform = converter.platform
    return exporter.on(platform) if platform is not None and platform in exporter.platforms else exporter


def _bounded(
    graph: "DeployableGraph",
    converter: Converter,
    exporter: Converter,
    precision: Precision,
    recipe: Recipe,
    max_drop: float,
    threads: int | None,
    tell: Tell,
    steps: Steps,
) -> Sequence[str]:
    """The layers of one graph that stay in float; from the work folder where they were found before."""
    assert recipe.work is not None
    ranked = default_path(graph, recipe, recipe.work)
    kept = ranked.with_name(
        f"{ranked.stem.replace('sensitivity', 'bounded')}-{converter.target}-{precision}-{max_drop:g}.json"
    )
    if kept.exists():
        return json.loads(kept.read_bytes())["chosen"]["floating"]

    def ranking() -> Sequence[str]:
        tell(f"{graph.name}: measuring how sensitive each layer is")
        return rank(graph, recipe, ranked, threads=threads, steps=steps).ranking

    found: Bounded = bound(graph, converter, exporter, precision, recipe, max_drop, ranking, threads=threads, tell=tell)
    title = f"{graph.name} for {converter.target} at {precision}"
    write_file(kept.with_suffix(".png"), pareto_chart(found, title, max_drop), overwrite=True)
    write_file(kept, (json.dumps(found.as_dict(), indent=1) + "\n").encode(), overwrite=True)
    return found.chosen.floating


def _judge(
    graph: "DeployableGraph",
    converter: Converter,
    exporter: Converter,
    precision: Precision,
    folder: Path,
    recipe: Recipe,
    threads: int | None,
    require_faster: bool,
    tell: Tell,
) -> None:
    """Hold one fresh file against its fp32 twin, in size and, where it runs here, in time.

    Raises CheckFailedError where it must be faster and is slower.
    """
    assert recipe.work is not None
    spec = find_runtime(converter.target)
    file = f"{graph.name}{converter.suffix}"
    fp32 = float_file(exporter, graph, recipe, recipe.work)
    share = stored(folder / file) / stored(fp32)
    tell(f"{file}: {'hardly smaller: ' if share > HARDLY else ''}{share:.2f} of the bytes of fp32")
    if reason := spec.hindrance(precision):
        tell(f"{file}: not timed: {reason}")
        return
    runtime = spec.open(folder / file, graph.tile, threads)
    if is_reference(runtime):
        tell(f"{file}: not timed: {runtime.name} is a reference for pixels here, never for time")
        return
    twin = spec.open(fp32, graph.tile, threads)
    taken = times(runtime, twin, recipe.validation(graph).tiles[0])
    here = ", ".join(instruction_set()) or "an unknown instruction set"
    figures = f"{taken.milliseconds:.1f} ms, fp32 {taken.twin:.1f} ms: {taken.speedup:.2f} times faster on {here}"
    if not taken.is_slower:
        tell(f"{file}: {figures}")
        return
    if require_faster:
        raise CheckFailedError(f"{file} is smaller but slower than fp32: {figures}; nothing was written")
    tell(f"{file}: smaller but slower: {figures}")
