"""Points for `mimdit fit`: every precision, tile and number of steps of a variant, built and measured once.

What was measured is kept in the work folder, a JSON line a point, so that a killed run goes on where it was.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from mimdit.errors import MimditError
from mimdit.export import EXPORTERS
from mimdit.export.converter import Converter, find
from mimdit.export.graph import DeployableGraph
from mimdit.files import write_file
from mimdit.model.checkpoint import checkpoint_hash
from mimdit.quantize import QUANTIZERS
from mimdit.quantize.fit import Candidate
from mimdit.quantize.quality import decibels, drops, times
from mimdit.quantize.recipe import REVISION, Recipe, by, float_file
from mimdit.quantize.size import stored
from mimdit.runtimes import find as find_runtime
from mimdit.targets import Precision, Target

if TYPE_CHECKING:
    from mimdit.model.mimdit import MiMDiT

__all__ = ["converters", "measure"]


def converters(target: Target) -> dict[Precision, Converter]:
    """What a target can be built at here. Raises MimditError, or MissingPackageError, where that is nothing."""
    found: dict[Precision, Converter] = {}
    for converter in (*EXPORTERS, *QUANTIZERS):
        if converter.target == target and not converter.missing():
            found |= dict.fromkeys(converter.precisions, converter)
    if not found:
        find(EXPORTERS, target, "fp32")  # says what is missing
        raise MimditError(f"nothing can be built for {target} here")
    return found


def measure(
    model: "MiMDiT",
    target: Target,
    recipe: Recipe,
    *,
    tiles: Sequence[int],
    steps: Sequence[int],
    threads: int | None = None,
    tell: Callable[[str], object] = lambda line: None,
) -> list[Candidate]:
    """Every combination. `recipe.work` keeps what was measured, and holds it for the same variant and settings."""
    assert recipe.work is not None
    kept = recipe.work / f"fit-{checkpoint_hash(model)[:12]}-{target}-{recipe.tiles}-{recipe.seed}-{REVISION}.json"
    known = [Candidate(**point) for point in json.loads(kept.read_bytes())] if kept.exists() else []
    done = {(point.precision, point.tile, point.steps) for point in known}
    for tile in tiles:
        for count in steps:
            missing: dict[Precision, Converter] = {
                p: c for p, c in converters(target).items() if (p, tile, count) not in done
            }
            if missing:
                graph = DeployableGraph(model, tile=tile, steps=count)
                for point in _points(graph, target, missing, recipe, threads):
                    known.append(point)
                    write_file(kept, (json.dumps([asdict(p) for p in known], indent=1) + "\n").encode(), overwrite=True)
                    tell(
                        f"{point.precision} at tile {tile}, {count} steps: {point.megabytes:.2f} MB, "
                        f"{point.milliseconds:.1f} ms, {point.drop:+.3f} dB lost"
                    )
    return [point for point in known if point.tile in tiles and point.steps in steps]


def _points(
    graph: DeployableGraph,
    target: Target,
    wanted: dict[Precision, Converter],
    recipe: Recipe,
    threads: int | None,
) -> Iterator[Candidate]:
    assert recipe.work is not None
    spec, checks = find_runtime(target), recipe.validation(graph).tiles
    twin = spec.open(float_file(find(EXPORTERS, target, "fp32"), graph, recipe, recipe.work), graph.tile, threads)
    before = decibels(twin, checks)
    for precision, converter in wanted.items():
        if spec.hindrance(precision):
            continue
        told = by(converter, recipe) if converter in QUANTIZERS else converter
        with tempfile.TemporaryDirectory(prefix="mimdit-fit-") as scratch:
            told.convert([graph], precision, Path(scratch), "0" * 16)
            runtime = spec.open(Path(scratch) / f"{graph.name}{converter.suffix}", graph.tile, threads)
            after = decibels(runtime, checks)
            yield Candidate(
                precision=precision,
                tile=graph.tile,
                steps=graph.steps,
                megabytes=round(stored(Path(scratch)) / 1e6, 3),
                milliseconds=round(times(runtime, twin, checks[0]).milliseconds, 2),
                drop=max(drops(before, after).values()),
                psnr=round(mean(after.values()), 3),
            )
