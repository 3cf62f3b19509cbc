"""`mimdit bench`."""

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mimdit.errors import MimditError

if TYPE_CHECKING:
    from mimdit.benchmarks.bench import Plan
    from mimdit.benchmarks.datasets import Group
    from mimdit.benchmarks.devices.address import Target
    from mimdit.benchmarks.run_file import Run

__all__ = ["bench", "finish", "print_run", "seconds_of"]

_UNITS = {"s": 1, "m": 60, "h": 3600}
_VARIANT = "A variant, auto, or matched. [default: matched where the degradation is known, else auto]"


def seconds_of(text: str) -> float:
    """`90s`, `30m`, `1h` → seconds. Raises MimditError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if found is None:
        raise MimditError(f"--duration '{text}' is no duration: write for example 90s or 30m")
    return float(found[1]) * _UNITS[found[2]]


def bench(
    bundles: Annotated[list[Path], typer.Argument(metavar="BUNDLE...", help="Bundles, measured in turns.")],
    photos: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Photos to restore, or a data set with a MANIFEST.tsv. [default: examples]"),
    ] = None,
    truth: Annotated[Path | None, typer.Option(metavar="DIR", help="Their truths, under equal names.")] = None,
    variant: Annotated[str | None, typer.Option(metavar="NAME", help=_VARIANT)] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Photos of each degradation; by default all.")] = None,
    golden: Annotated[Path | None, typer.Option(metavar="DIR", help="Hold outputs to a golden, too.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Graph times: 64 for a p90, 662 for a p99.")] = 64,
    duration: Annotated[str | None, typer.Option(metavar="30m", help="Go on timing so long: sustained curve.")] = None,
    roofline: Annotated[bool, typer.Option("--roofline", help="Compare with the machine's matrix product.")] = False,
    loadgen: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also run MLPerf LoadGen, which writes its logs here.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores to use; by default all.")] = None,
    provider: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Where it runs: onnx knows cpu, cuda, coreml, qnn, directml; coreml cpu, gpu, ane."
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="local, ssh://user@host, adb://serial, or a name in devices.toml.")
    ] = "local",
    seed: Annotated[int, typer.Option(help="Of the order in which bundles take turns.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="RUN.json", help="Write the run file.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing run file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the run file instead of tables.")] = False,
) -> None:
    """Measure bundles on this device, or on another: latency, restored photos, memory, energy.

    Several bundles are timed in turns, so that whatever slows the machine meets all alike. Told apart: cold load (fresh
    process, files not in the system's cache), warm load, first inference, steady state of one tile (graph), and
    photo to photo (decoded photo to restored photo). Every sample is kept in the run file; a p90 is printed from 64
    samples on, a p99 from 662. Without --photos the package's example photos are restored. Exit code 1 if a photo could
    not be restored, 2 if the run is invalid (wrong power mode). One run is of one unit: with --provider you say which,
    where the runtime has several (on Apple silicon cpu, gpu and ane).

    --device pushes the bundles and mimdit's torch-free part to another machine, runs there and brings the run file
    back. The run survives a dropped connection, and the same command finds it again.

    `mimdit compare`, `mimdit gate` and `mimdit convert` read the run file.
    """
    from mimdit.benchmarks.bench import Plan
    from mimdit.benchmarks.devices.address import find_device
    from mimdit.benchmarks.run_file import write_run

    if out is not None and out.exists() and not overwrite:
        raise MimditError(f"{out} exists already: pass --overwrite to replace it, or choose another name")
    groups, choice = _groups(photos, truth, limit)
    plan = Plan(
        choice=variant or choice,
        provider=provider,
        threads=threads,
        samples=samples,
        duration=0.0 if duration is None else seconds_of(duration),
        seed=seed,
        roofline=roofline,
    )
    target = find_device(device)
    if target.local:
        run = _bench_here(target, bundles, groups, plan, golden)
    else:
        if loadgen is not None:
            raise MimditError("--loadgen runs on this device only: leave out --device")
        run = _bench_there(target, bundles, {"--photos": photos, "--truth": truth, "--golden": golden}, plan, limit)
    if loadgen is not None:
        from mimdit.benchmarks.loadgen import run_loadgen
        from mimdit.bundle import open_bundle

        for bundle in map(open_bundle, bundles):
            folder = loadgen / bundle.path.stem
            how = {"choice": plan.choice, "threads": threads, "provider": provider, "queries": samples}
            run_loadgen(bundle, groups, folder, **how, tell=_say)
    if out is not None:
        write_run(run, out, overwrite=overwrite)
    typer.echo(run.model_dump_json()) if as_json else print_run(run)
    finish(run)


def _bench_here(
    target: "Target", bundles: list[Path], groups: "list[Group]", plan: "Plan", golden: Path | None
) -> "Run":
    from mimdit.benchmarks.bench import bench as run_bench
    from mimdit.benchmarks.devices.profiles import notes, wrong_mode
    from mimdit.benchmarks.golden import open_golden
    from mimdit.bundle import open_bundle

    if reason := wrong_mode(target.link, target.profile):
        raise MimditError(f"a run would be invalid, {reason}")
    opened = [open_bundle(path) for path in bundles]
    held_to = None if golden is None else open_golden(golden)
    command = shlex.join(["mimdit", *sys.argv[1:]])
    with _progress(len(opened), groups, plan) as advance:
        run = run_bench(opened, groups, plan, command=command, golden=held_to, advance=advance)
    invalid = run.conditions.invalid or wrong_mode(target.link, target.profile)
    state = {"invalid": invalid, "notes": notes(target.link, target.profile)}
    return run.model_copy(update={"conditions": run.conditions.model_copy(update=state)})


def _bench_there(
    target: "Target", bundles: list[Path], folders: dict[str, Path | None], plan: "Plan", limit: int | None
) -> "Run":
    """The same command on the device, its folders in place of ours."""
    from mimdit.benchmarks.devices.session import Argument, bench_on
    from mimdit.bundle import open_bundle

    arguments = [Argument(None, open_bundle(path).path) for path in bundles]  # sound here, so a fault there is new
    arguments += [Argument(option, folder) for option, folder in folders.items() if folder is not None]
    values = {"--variant": plan.choice, "--samples": plan.samples, "--threads": plan.threads, "--limit": limit}
    values |= {
        "--provider": plan.provider,
        "--seed": plan.seed,
        "--duration": f"{plan.duration:g}s" if plan.duration else None,
    }
    options = [text for option, value in values.items() if value is not None for text in (option, str(value))]
    return bench_on(target, arguments, [*options, *(["--roofline"] if plan.roofline else [])], tell=_say)


def _say(line: str) -> None:
    typer.echo(line, err=True)


def finish(run: "Run") -> None:
    """Exit codes of a run that was measured."""
    if run.conditions.invalid:
        raise MimditError(f"the run is invalid: {run.conditions.invalid}")
    failed = [image for result in run.results for image in result.images if image.error]
    if failed:
        typer.echo(f"{len(failed)} photos could not be restored; the first: {failed[0].error}", err=True)
        raise typer.Exit(1)


def print_run(run: "Run") -> None:
    """The device against the reference, facts, tables, on stdout."""
    from mimdit.benchmarks.run_tables import facts, tables
    from mimdit.cli.tables import data_console, show

    console = data_console()
    first, *others = tables(run)
    show(console, first, title=False)
    for name, value in facts(run).items():
        console.print(f"{name}: {value}", soft_wrap=True)
    for content in others:
        show(console, content)


def _groups(photos: Path | None, truth: Path | None, limit: int | None) -> "tuple[list[Group], str]":
    """The photos, and how a variant is chosen for them where nobody names one."""
    from mimdit.benchmarks.datasets import MANIFEST, example_groups, folder_groups, manifest_groups, select
    from mimdit.benchmarks.methods import AUTO, MATCHED

    if photos is None:
        if truth is not None:
            raise MimditError("--truth belongs to --photos: name the folder of degraded photos too")
        return select(example_groups(), limit=limit), MATCHED
    if truth is None and (photos / MANIFEST).is_file():
        return select(manifest_groups(photos), limit=limit), MATCHED
    return select(folder_groups(photos, truth), limit=limit), AUTO


@contextmanager
def _progress(bundles: int, groups: "list[Group]", plan: "Plan") -> "Iterator[Callable[[], object]]":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mimdit.benchmarks.bench import steps

    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Left to itself rich would send stdout, the data, to this console as well. It draws only when a step is done,
    # never from a thread of its own beside what is timed.
    quiet = {"console": console, "transient": True, "redirect_stdout": False, "redirect_stderr": False}
    with Progress(*columns, **quiet, auto_refresh=False, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("measuring", total=steps(bundles, groups, plan))
        yield lambda: bar.update(task, advance=1, refresh=True)
