"""`mimdit gate`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mimdit.cli.steps_bar import steps_bar
from mimdit.errors import MimditError

if TYPE_CHECKING:
    from mimdit.benchmarks.gate_bundles import Photos
    from mimdit.benchmarks.verdict import Check, Verdict

__all__ = ["gate"]

_NEW = "A run file of `mimdit bench`, or a bundle NAME.mimdit, measured now; by default the embedded bundle."
_REPORT = "Write a report; repeat for several. The suffix says which: .md .xml (JUnit) .sarif .html .json"


def gate(
    new: Annotated[Path | None, typer.Argument(metavar="RUN|BUNDLE", help=_NEW)] = None,
    baseline: Annotated[
        Path | None, typer.Option(metavar="BASE", help="The accepted run to hold it to, of `mimdit baseline`.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="BUNDLE", help="Or an older bundle: both are measured here, in turns.")
    ] = None,
    rules: Annotated[Path | None, typer.Option(metavar="gate.toml", help="Tolerances other than the defaults.")] = None,
    only: Annotated[str, typer.Option(metavar="CHECK[,CHECK]", help="Of the checks below; by default all.")] = "",
    photos: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="What a bundle restores: photos, or a data set. [default: example crops]"),
    ] = None,
    truth: Annotated[Path | None, typer.Option(metavar="DIR", help="Their truths, under equal names.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Photos of each degradation. [default: the baseline's, else 40]")
    ] = None,
    golden: Annotated[Path | None, typer.Option(metavar="DIR", help="Hold a bundle's photos to a golden, too.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores to use; by default all.")] = None,
    report: Annotated[list[Path] | None, typer.Option(metavar="FILE", help=_REPORT)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON instead of a table.")] = False,
) -> None:
    """Hold a bundle to an earlier one, and stop what got worse.

    The verdict is pass; improved (record a new baseline, so that the gain is kept); regressed; or inconclusive, with
    the number of samples that would settle it. Exit codes: 0 pass or improved, 1 regressed, 2 not comparable, 3
    inconclusive. The same two files give the same verdict and the same reports, to the byte.

    Checks: accuracy (per degradation, photos paired, the mean with its 99.9 % interval and the worst photo), drift
    (from a golden), size, latency, memory, energy, defects (NaN, black tiles, colour cast, seams, patches), contents
    (files that do not hold what the manifest says). Latency, memory and energy are held to a baseline of the same
    machine only, else reported. With --against, latency is measured in turns and held to the machine's own noise.

    A Markdown summary is appended to $GITHUB_STEP_SUMMARY where that is set.
    """
    from mimdit.benchmarks.gate import gate as gate_run
    from mimdit.benchmarks.gate_bundles import Gated, gate_against, gate_bundle
    from mimdit.benchmarks.gate_reports import check_reports, write_job_summary, write_reports
    from mimdit.benchmarks.gate_rules import load_rules
    from mimdit.benchmarks.run_file import read_run
    from mimdit.benchmarks.verdict import exit_code
    from mimdit.bundle import SUFFIX, default_bundle_path, open_bundle

    check_reports(report or [])
    tolerances, checks = load_rules(rules), _checks(only)
    if new is not None and new.suffix != SUFFIX:
        if baseline is None or against or photos or truth or limit or golden or threads:
            raise MimditError(
                f"{new} is a run file, measured already: it takes --baseline BASE, and none of --photos …"
            )
        run = read_run(new)
        gated = Gated(gate_run(run, read_run(baseline), tolerances, checks), run, [])
    else:
        chosen = _photos(photos, truth, limit, golden)
        how = {"command": shlex.join(["mimdit", *sys.argv[1:]]), "threads": threads}
        if baseline is not None and against is None:
            accepted = read_run(baseline)  # before a minute of measuring
            with steps_bar() as progress:
                gated = gate_bundle(open_bundle(new), accepted, tolerances, checks, chosen, progress=progress, **how)
        elif against is not None and baseline is None:
            bundles = open_bundle(new), open_bundle(against)
            with steps_bar() as progress:
                gated = gate_against(*bundles, tolerances, checks, chosen, progress=progress, **how)
        else:
            raise MimditError("expected either --baseline BASE or --against BUNDLE: what is it to be held to?")
    place = (new or default_bundle_path().relative_to(Path(__file__).parents[2])).as_posix()
    write_reports(gated, report or [], place)
    write_job_summary(gated.verdict)
    typer.echo(gated.verdict.model_dump_json(indent=1)) if as_json else _print(gated.verdict)
    raise typer.Exit(exit_code(gated.verdict))


def _checks(only: str) -> "tuple[Check, ...]":
    from mimdit.benchmarks.verdict import CHECKS

    names = [name.strip() for name in only.split(",") if name.strip()]
    if unknown := [name for name in names if name not in CHECKS]:
        raise MimditError(f"there is no check {unknown[0]!r}: choose from {', '.join(CHECKS)}")
    return tuple(check for check in CHECKS if check in names) or CHECKS


def _photos(folder: Path | None, truth: Path | None, limit: int | None, golden: Path | None) -> "Photos":
    from mimdit.benchmarks.gate_bundles import Photos
    from mimdit.benchmarks.golden import open_golden

    return Photos(folder, truth, limit, None if golden is None else open_golden(golden))


def _print(verdict: "Verdict") -> None:
    """The device against the reference, the table, and the verdict in one line below it, on stdout."""
    from mimdit.benchmarks.gate_table import COLUMNS, cells, ordered
    from mimdit.benchmarks.headline import headline_table
    from mimdit.benchmarks.table import TableContent
    from mimdit.cli.tables import data_console, show

    console = data_console()
    show(console, headline_table(verdict.headlines), title=False)
    colours = {"regressed": "red", "improved": "blue", "inconclusive": "yellow", "pass": "green"}
    findings = list(reversed(ordered(verdict.findings)))  # what needs a reader stands next to the prompt
    table = TableContent("Figures", COLUMNS, tuple(map(cells, findings)))
    styles = [colours.get(finding.outcome or "", "") for finding in findings]
    show(console, table, title=False, left=("subject", "verdict"), styles=styles)
    for finding in ordered(verdict.findings):
        if finding.outcome in ("regressed", "inconclusive", "improved") and finding.note:
            stage = f", stage {finding.stage}" if finding.stage else ""
            console.print(f"{finding.check} of {finding.subject}{stage}: {finding.note}", soft_wrap=True)
    console.print(verdict.sentence, soft_wrap=True)
