"""Writes docs/routing.md: what routers decide, what carries the restoration, what freezing costs and saves.

    python -m mimdit.benchmarks.routing_report --student weights/student-1 --variants runs/small/variants \\
        --before runs/small/final9 --codec runs/small/codec/model --photos PHOTOS \\
        --runs runs/small/equal-budget --out docs

Router statistics are of the training photos; every figure in dB is of the photos kept for validation. The equal-budget
networks are trained at the first run (minutes) and kept in --runs.
"""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import torch
import typer

from mimdit.benchmarks.ablations import components, examples_of, information, places_found
from mimdit.benchmarks.device import this_device, versions
from mimdit.benchmarks.equal_budget import STEPS, equal_budget
from mimdit.benchmarks.freezing import Frozen, Saved, freeze_ways, saved
from mimdit.benchmarks.narrowing import narrowing
from mimdit.benchmarks.regret import load_variants
from mimdit.benchmarks.routing_maps import write_maps
from mimdit.benchmarks.table import TableContent, markdown_lines
from mimdit.benchmarks.tile_regret import tile_regret
from mimdit.files import write_file
from mimdit.model.checkpoint import load_model
from mimdit.model.mimdit import MiMDiT
from mimdit.routing.freeze import make_plan
from mimdit.routing.narrow import with_plan
from mimdit.routing.plan import RoutingPlan
from mimdit.routing.record import record_routing
from mimdit.targets import DEGRADATIONS, DISPATCHER_CLASSES, VARIANT_DEGRADATIONS, Variant
from mimdit.train.config import TrainConfig
from mimdit.train.data import PhotoScales

TILE = 256  # px, as bundles have them

_INTRO = """\
# What routing decides, and what freezing it costs

Generated: `{command}`
{machine}. Nothing here was tuned on: dB are PSNR over {each} tiles of {tile} px of each degradation, cut from the
{kept_out} photos kept for validation.
"""

_WAYS = """\
`own plan`: in each group the sub-expert that dynamic routing chose most often, with its mean weight. `mean gates`: all
sub-experts, each with its mean weight over the photos. `merged`: one sub-expert a group, the mean of all three by their
shares of use. `tuned`: the own plan after fine-tuning of experts, gates and codec. All but the last are on the
student's weights without any tuning. Columns after `dynamic` are differences from it, in dB.
"""


def main(
    student: Annotated[Path, typer.Option(help="Model folder of the dynamic one-step student.")],
    variants: Annotated[Path, typer.Option(help="Folder of its frozen variants.")],
    before: Annotated[Path, typer.Option(help="Folder of the variants as they were before they were narrowed.")],
    codec: Annotated[Path, typer.Option(help="Model folder of stage 1, for the equal-budget networks.")],
    photos: Annotated[Path, typer.Option(help="The training photos.")],
    runs: Annotated[Path, typer.Option(help="Where the equal-budget networks are trained.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="routing.md and its pictures go here.")] = Path("docs"),
    each: Annotated[int, typer.Option(min=1, help="Tiles of every degradation.")] = 24,
    steps: Annotated[int, typer.Option(min=1, help="Training steps of each equal-budget network.")] = STEPS,
    samples: Annotated[int, typer.Option(min=1, help="Times of a tile.")] = 20,
) -> None:
    """Write docs/routing.md and its pictures."""
    model, tuned = load_model(student).eval(), load_variants(variants)
    full = load_variants(before)
    fewer: dict[Variant, MiMDiT] = {
        name: with_plan(full[name], plan) for name, net in tuned.items() if (plan := net.shape.plan)
    }
    scales = PhotoScales(photos, runs.parent / ".photo-cache")
    training, kept_out = scales.split(TrainConfig(objective="distill", steps=1).validation_photos)
    seen = record_routing(model, examples_of(scales, training, TILE, each, seed=1))
    examples = examples_of(scales, kept_out, TILE, each, seed=2)
    tested = record_routing(model, examples)

    plans: dict[Variant, RoutingPlan] = {
        name: make_plan(name, seen.of(VARIANT_DEGRADATIONS[name])) for name in DISPATCHER_CLASSES
    }
    ways = [
        row
        for name, plan in plans.items()
        if name in full
        for row in freeze_ways(
            model, plan, full[name], seen.of(VARIANT_DEGRADATIONS[name]), VARIANT_DEGRADATIONS[name], examples
        )
    ]
    savings = saved([model, full["denoise"], fewer["denoise"], tuned["denoise"]], examples[0], samples)
    device = this_device()
    machine = f"{device.processor or device.architecture}, {device.cores} cores, torch {versions(['torch'])['torch']}"
    maps = write_maps(seen, DEGRADATIONS, out)
    sections = [
        _INTRO.format(
            command=shlex.join(["python", "-m", "mimdit.benchmarks.routing_report", *sys.argv[1:]]),
            machine=machine,
            each=each,
            tile=TILE,
            kept_out=len(kept_out),
        ),
        "## What routers decide\n",
        f"![Inter-MoE]({maps[0]})\n\n![Intra-MoE]({maps[1]})\n",
        f"Over {each} tiles of each degradation from the training photos.\n",
        _section("Mutual information of degradation and chosen sub-expert", information(tested), titled=True),
        _section("Sub-experts chosen as taught", places_found(tested)),
        "Of a photo's 12 places, in each of which it shares a sub-expert with one other degradation; the two kinds of\n"
        "noise are one. A third would be found by chance.\n",
        _section("What carries the restoration", components(model, plans, examples)),
        "Branch off, degraded latent and own plan against dynamic routing; other plans against the own plan, all on\n"
        "the student's weights without any tuning.\n",
        _section(f"Equal budgets: the time of {steps} training steps each", equal_budget(codec, photos, runs, steps)),
        "Columns after `plain DiT` against it, in dB. `the same, led`: whatever the routers choose, every photo goes\n"
        "to the sub-experts that its degradation was taught with, as it does in a frozen variant.\n",
        _section("Four ways to freeze", _ways_table(ways)),
        _WAYS,
        _section("Narrowing: 5 of 12 sub-experts", narrowing(full, fewer, tuned, examples)),
        "PSNR in dB of each degradation's own variant, with all sub-experts of its plan; the differences when only\n"
        "those stay that ship, and when it is tuned again with more residual blocks in its decoder, as it ships. What\n"
        "is dropped was chosen on training photos, one at a time.\n",
        _section("What freezing saves", _saved_table(savings)),
        "The ratio of `dynamic` stands in brackets. `narrowed` has 5 of 12 sub-experts; `as it ships` has besides two\n"
        "more residual blocks at full resolution. All are `denoise`.\n",
        f"Times of one tile of {TILE} px in eager PyTorch, {torch.get_num_threads()} threads, medians in turns. Dynamic"
        " routing too computes only\nthe sub-experts that it chose.\n",
        _section("Regret", tile_regret(model, tuned, examples)),
        "Over single tiles: how much dynamic routing gains over the variant that belongs to the degradation, how\n"
        "often another variant would have been better by more than 0.1 dB, and what the best of all would have\n"
        "gained.\n"
        "For your own photos: `mimdit routing regret PHOTO... --student … --variants …`.\n",
    ]
    write_file(out / "routing.md", "\n".join(sections).encode(), overwrite=True)


def _section(title: str, table: TableContent, *, titled: bool = False) -> str:
    lines = [f"## {title}", "", *([table.title + ".", ""] if titled else []), *markdown_lines(table), ""]
    return "\n".join(lines)


def _ways_table(rows: list[Frozen]) -> TableContent:
    heads = "dynamic", "own plan", "mean gates", "merged", "tuned"
    content = tuple(
        (
            row.kind,
            f"{row.dynamic:.2f}",
            *(f"{v - row.dynamic:+.2f}" for v in (row.most_frequent, row.mean_gates, row.merged, row.tuned)),
        )
        for row in rows
    )
    return TableContent("Four ways to freeze", ("degradation", *heads), content)


def _saved_table(found: Saved) -> TableContent:
    parts = (
        ("weights in fp16, MB", found.megabytes),
        ("whole tile, ms", found.whole_ms),
        ("MiM branch, ms", found.branch_ms),
    )
    rows = tuple(
        (name, f"{first:.1f}", *(f"{value:.1f} ({first / value:.2f})" for value in others))
        for name, (first, *others) in parts
    )
    return TableContent("What freezing saves", ("", "dynamic", "frozen", "narrowed", "as it ships"), rows)


if __name__ == "__main__":
    typer.run(main)
