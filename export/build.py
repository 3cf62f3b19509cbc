"""The only way to a bundle: graphs → converter → experts counted → parity → written, or nothing at all."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from types import MappingProxyType

from mimdit.bundle import write_bundle
from mimdit.config import PHOTO_SIZE, TILE_OVERLAP
from mimdit.errors import CheckFailedError, MimditError
from mimdit.export.converter import Converter
from mimdit.export.golden_tile import write_expected, write_picture
from mimdit.export.graph import DeployableGraph, joint_hash
from mimdit.export.parity import LOWEST_PSNR, check_parity
from mimdit.manifest import (
    Calibration,
    DispatcherEntry,
    GoldenTile,
    KeptOperation,
    Manifest,
    ModelEntry,
    Parity,
    PassedUnit,
    bundle_id,
)
from mimdit.routing.inside import plan_difference
from mimdit.runtimes import find as find_runtime
from mimdit.targets import Precision

# Writes a dispatcher into a folder and says what it wrote.
AddDispatcher = Callable[[Path], DispatcherEntry]


def build(
    graphs: Sequence[DeployableGraph],
    converter: Converter,
    precision: Precision,
    out: Path,
    *,
    command: str,
    add_dispatcher: AddDispatcher | None = None,
    calibration: Calibration | None = None,
    floating: Mapping[str, Sequence[str]] = MappingProxyType({}),
    overwrite: bool = False,
    tell: Callable[[str], object] = lambda line: None,
) -> Manifest:
    """Convert, check and write one bundle; returns its manifest. `tell` hears of every step.

    Of a quantized bundle: what it was calibrated on, and per graph's name the layers that stayed in float.
    Raises CheckFailedError, and leaves no bundle, where the files hold other sub-experts than the plan or fail parity.
    """
    built_with = {name: _version(name) for name in ("mimdit", *converter.requires)}
    identity = bundle_id(
        checkpoint=(checkpoint := joint_hash(graph.checkpoint for graph in graphs)),
        plans=[graph.plan for graph in graphs],
        target=converter.target,
        precision=precision,
        tiles=[graph.tile for graph in graphs],
        built_with=built_with,
        platform=converter.platform,
        calibration=calibration,
        floating=floating,
    )
    with tempfile.TemporaryDirectory(prefix="mimdit-build-") as scratch:
        folder = Path(scratch)
        tell(f"converting {len(graphs)} graphs to {converter.target} {precision}")
        converter.convert(graphs, precision, folder, identity)
        models = tuple(
            _checked(graph, converter, precision, folder, tell).model_copy(
                update={"floating": tuple(floating.get(graph.name, ()))}
            )
            for graph in graphs
        )
        dispatcher = add_dispatcher(folder) if add_dispatcher else None
        golden = GoldenTile(file=write_picture(folder), tolerance=_unit_tolerance(converter.tolerance[precision]))
        manifest = Manifest(
            id=identity,
            name=out.stem,
            checkpoint=checkpoint,
            target=converter.target,
            precision=precision,
            platform=converter.platform,
            tile_overlap=min(TILE_OVERLAP, *(graph.tile // 4 for graph in graphs)),
            photo_size=PHOTO_SIZE,
            models=models,
            dispatcher=dispatcher,
            golden=golden,
            calibration=calibration,
            built_with=built_with,
            command=command,
        )
        return write_bundle(
            out, manifest, lambda partial: shutil.copytree(folder, partial, dirs_exist_ok=True), overwrite=overwrite
        )


def _version(package: str) -> str:
    """Of a package by its import name; the name that it is installed by may be another (tensorrt-rtx-cu12)."""
    try:
        return version(package)
    except PackageNotFoundError:
        return version(packages_distributions()[package][0])


def _checked(
    graph: DeployableGraph, converter: Converter, precision: Precision, folder: Path, tell: Callable[[str], object]
) -> ModelEntry:
    """Count the experts in one graph's file, run it against the graph, and describe it."""
    file = f"{graph.name}{converter.suffix}"
    if fault := plan_difference(graph.plan, converter.tensor_names(folder / file)):
        raise CheckFailedError(f"{file} does not follow its routing plan: {fault}")
    if converter.remark is not None:
        tell(f"{file}: {converter.remark(folder / file)}")
    kept = _kept_in_fp32(graph, converter, precision, tell)
    parity, units = _parity(graph, converter, precision, folder / file, tell)
    seen = parity.reason if parity.max_error is None else f"max error {parity.max_error:.1e}"
    tell(f"{file}: {graph.plan.experts} sub-experts as planned, parity {parity.status}: {seen}")
    parameters, gmac = graph.cost()
    return ModelEntry(
        variant=graph.variant,
        steps=graph.steps,
        tile=graph.tile,
        file=file,
        plan=graph.plan,
        parity=parity,
        parameters=parameters,
        gmac=gmac,
        experts={} if converter.expert_weights is None else dict(converter.expert_weights(folder / file)),
        kept_fp32=kept,
        units=units,
        golden=write_expected(graph, folder),
    )


def _kept_in_fp32(
    graph: DeployableGraph, converter: Converter, precision: Precision, tell: Callable[[str], object]
) -> tuple[KeptOperation, ...]:
    """What the converter left in fp32; told by module and operation."""
    if precision != "fp16":
        return ()
    if not converter.half_arithmetic:
        tell(f"{graph.name}: fp16 is how {converter.target} stores weights, all arithmetic is fp32")
        return ()
    kept = tuple(
        KeptOperation(module=fragile.module, operation=fragile.operation, reason=fragile.reason)
        for fragile in graph.fragile
    )
    allowed = converter.platform not in converter.all_half
    words = "in fp32 stays" if allowed else f"for {converter.platform} all is fp16, though it does not hold"
    for operation in kept:
        place = operation.module or "the graph"
        tell(f"{graph.name}: {words} {operation.operation} of {place}: {operation.reason}")
    return kept if allowed else ()


def _parity(
    graph: DeployableGraph, converter: Converter, precision: Precision, path: Path, tell: Callable[[str], object]
) -> tuple[Parity, tuple[PassedUnit, ...]]:
    """Of one file against its graph, and the units that it passed on; "not measured" where it cannot run here.

    The runtime's usual unit must pass; what else this machine has is listed if it does.
    """
    spec = find_runtime(converter.target)
    platform = converter.platform
    if reason := spec.hindrance(precision) or (platform and spec.platform_hindrance(platform)):
        return Parity(status="not measured", reason=reason), ()
    tolerance, lowest = converter.tolerance[precision], LOWEST_PSNR.get(precision)
    runtime = spec.open(path, graph.tile, None)
    parity = check_parity(graph, runtime, tolerance, lowest_psnr=lowest)
    found = [(runtime, parity)]
    for name in spec.providers:
        if name != spec.default and spec.open_on is not None:
            try:
                other = spec.open_on(path, graph.tile, None, name)
                found.append((other, check_parity(graph, other, tolerance, lowest_psnr=lowest)))
            except CheckFailedError as error:
                tell(f"{path.name} is not for {name}: {error}")
            except MimditError:  # not on this machine
                continue
    units = tuple(
        PassedUnit(runtime=runtime.name, unit=runtime.unit, version=spec.version(), max_error=passed.max_error or 0.0)
        for runtime, passed in found
    )
    return parity, units


def _unit_tolerance(tolerance: float) -> float:
    """What a unit may be off by: what parity allows, at least 3 levels of 255, and half of one for 8-bit rounding."""
    return max(tolerance, 3 / 255) + 0.5 / 255
