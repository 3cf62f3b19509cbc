"""Writes docs/routing.md: what routers decide, what carries the restoration, what freezing costs and saves.

    python -m mimdit.benchmarks.routing_report --student weights/student-1 --variants runs/small/final \\
        --before runs/small/final9 --codec runs/small/codec/model --photos PHOTOS \\
        --runs runs/small/equal-budget --out docs

Router statistics are of the training photos; every figure in dB is of the photos kept for validation. The equal-budget
networks, and the briefly tuned variants beside that folder, are trained at the first run (half an hour) and kept.
"""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import torch
import typer

from mimdit.benchmarks.ablations import carried, components, examples_of, information, places_found, variant_parts
from mimdit.benchmarks.brief_tuning import TUNING_STEPS, briefly_tuned
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
from mimdit.routing.freeze import freeze, make_plan
from mimdit.routing.narrow import with_plan
from mimdit.routing.plan import RoutingPlan
from mimdit.routing.record import record_routing
from mimdit.script import run
from mimdit.targets import DEGRADATIONS, DISPATCHER_CLASSES, VARIANT_DEGRADATIONS, Variant
from mimdit.train.config import VALIDATION_PHOTOS
from mimdit.train.data import PhotoScales, photo_cache

TILE = 256  # px, as bundles have them

_INTRO = """\
# What routing decides, and what freezing it costs

Generated: `{command}`
{machine}. dB are PSNR over {each} tiles of {tile} px of each degradation, cut from the {kept_out} photos kept for
validation: nothing was trained on them, but rounds of training were compared on them. `mimdit.export.unpack` takes the
variants out of the bundle.
"""

_INFORMATION = """\
A place, one of three sub-experts, can hold 1.58 bits at most. Routers are taught the degradation, so this says that
they learned it, not that it arose by itself. 999 shuffles cannot show a p below 0.001.
"""

_PLACES = """\
Of a photo's 12 places, in each of which it shares a sub-expert with one other degradation; the two kinds of
noise are one. A third would be found by chance.
"""

_COMPONENTS = """\
The student. Branch off, degraded latent and own plan against dynamic routing; other plans against the own plan, all on
the student's weights without any tuning. Where the own plan is worth much more than dynamic routing, routers mistake
photos, and a mistaken photo may be better off without the branch.
"""

_PARTS = """\
The variants that ship, each whole as it was tuned, codec included: what of it is the branch's and the transformer's.
"""

_BUDGETS = """\
The time of {steps} steps, where the first student had 3,600: too short for routers to learn much. Designs are compared,
not what ships. What a step of each costs was measured once, and machines differ: the last row is how long it took.
Columns after `plain DiT` against it, in dB. `the same, led`: whatever the routers choose, every photo goes
to the sub-experts that its degradation was taught with, as it does in a frozen variant.
"""

_WAYS = """\
`own plan`: in each group the sub-expert that dynamic routing chose most often, with its mean weight. `mean gates`: all
sub-experts, each with its mean weight over the photos. `merged`: one sub-expert a group, the mean of all three by their
shares of use; tensors of unlike shape are the most frequent one's. `{steps} steps`: the own plan, and experts, gates
and codec tuned for so long, alike for every variant. All before are on the student's weights without any tuning.
`first variants`: those that were frozen from the first release of the student, tuned for thousands of steps, before
they were narrowed to what ships. Columns after `dynamic` are differences from it, in dB.
"""

_NARROWING = """\
PSNR in dB of each degradation's own variant, with all sub-experts of its plan; the differences when only
those stay that ship, and when it is tuned again with more residual blocks in its decoder, as it ships. What
is dropped was chosen on training photos, one at a time.
"""

_SAVED = """\
The ratio of `dynamic` stands in brackets. The first table is `denoise`: `narrowed` has 5 of 12 sub-experts, `as it
ships` besides two more residual blocks at full resolution. The second is every variant as it ships. MB are of the
modules in PyTorch, with the time embedding and modulations that are constants in a file:
[results.md](results.md#what-they-cost) has what files hold.

Times of one tile of {tile} px in eager PyTorch, on {threads}, medians in turns. Dynamic routing too computes only
the sub-experts that it chose.
"""

_REGRET = """\
Over single tiles: how much dynamic routing gains over the variant that belongs to the degradation, how
often another variant would have been better by more than 0.1 dB, and what the best of all would have gained.

For your own photos, and for two plans side by side with what they cost in dB, MB and ms:

```sh
python -m mimdit.export.unpack mimdit/default/default.mimdit weights/student-1 -o variants
mimdit routing regret PHOTO... --student weights/student-1 --variants variants
mimdit routing diff denoise derain
```
"""


def main(
    student: Annotated[Path, typer.Option(help="Model folder of the dynamic one-step student.")],
    variants: Annotated[Path, typer.Option(help="Folder of its frozen variants.")],
    before: Annotated[Path, typer.Option(help="Folder of the variants as they were before they were narrowed.")],
    codec: Annotated[Path, typer.Option(help="Model folder of stage 1, for the equal-budget networks.")],
    photos: Annotated[Path, typer.Option(help="The training photos.")],
    runs: Annotated[Path, typer.Option(help="Equal-budget networks are trained here, brief tuning beside it.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="routing.md and its pictures go here.")] = Path("docs"),
    each: Annotated[int, typer.Option(min=1, help="Tiles of every degradation.")] = 24,
    steps: Annotated[int, typer.Option(min=1, help="Training steps of each equal-budget network.")] = STEPS,
    tuning: Annotated[int, typer.Option(min=1, help="Training steps of each briefly tuned variant.")] = TUNING_STEPS,
    samples: Annotated[int, typer.Option(min=1, help="Times of a tile.")] = 20,
) -> None:
    """Write docs/routing.md and its pictures."""
    model, tuned = load_model(student).eval(), load_variants(variants)
    full = load_variants(before)
    fewer: dict[Variant, MiMDiT] = {  # not general: what it was before lies in another lineage, and no table has it
        name: with_plan(full[name], plan) for name in DISPATCHER_CLASSES if (plan := tuned[name].shape.plan)
    }
    scales = PhotoScales(photos, photo_cache(runs))
    training, kept_out = scales.split(VALIDATION_PHOTOS)
    seen = record_routing(model, examples_of(scales, training, TILE, each, seed=1))
    examples = examples_of(scales, kept_out, TILE, each, seed=2)
    tested = record_routing(model, examples)

    plans: dict[Variant, RoutingPlan] = {
        name: make_plan(name, seen.of(VARIANT_DEGRADATIONS[name])) for name in DISPATCHER_CLASSES
    }
    static: dict[Variant, MiMDiT] = {name: freeze(model, plan) for name, plan in plans.items()}
    brief = briefly_tuned(static, photos, runs.parent / "brief-tuning", tuning)
    ways = [
        row
        for name, plan in plans.items()
        for row in freeze_ways(
            model,
            plan,
            (brief[name], full[name]),
            seen.of(VARIANT_DEGRADATIONS[name]),
            VARIANT_DEGRADATIONS[name],
            examples,
        )
    ]
    savings = saved([model, full["denoise"], fewer["denoise"], tuned["denoise"]], examples[0], samples)
    as_shipped = saved([model, *tuned.values()], examples[0], samples)
    device = this_device()
    machine = f"{device.processor or device.architecture}, {device.cores} cores, torch {versions(['torch'])['torch']}"
    maps = write_maps(seen, DEGRADATIONS, out)
    threads = torch.get_num_threads()
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
        _INFORMATION,
        _section("Sub-experts chosen as taught", places_found(tested)),
        _PLACES,
        _section("What carries the restoration", parts := components(model, plans, examples)),
        _COMPONENTS,
        "\n".join(markdown_lines(carried(parts))) + "\n",
        "\n".join(markdown_lines(variant_parts(tuned, examples))) + "\n",
        _PARTS,
        _section(f"Equal budgets: the time of {steps} training steps each", equal_budget(codec, photos, runs, steps)),
        _BUDGETS.format(steps=steps),
        _section("Four ways to freeze", _ways_table(ways, tuning)),
        _WAYS.format(steps=tuning),
        _section("Narrowing: 5 of 12 sub-experts", narrowing(full, fewer, tuned, examples)),
        _NARROWING,
        _section("What freezing saves", _saved_table(savings, ("frozen", "narrowed", "as it ships"))),
        "\n".join(markdown_lines(_saved_table(as_shipped, tuple(tuned)))) + "\n",
        _SAVED.format(tile=TILE, threads=f"{threads} thread{'s' if threads > 1 else ''}"),
        _section("Regret", tile_regret(model, tuned, examples)),
        _REGRET,
    ]
    write_file(out / "routing.md", "\n".join(sections).encode(), overwrite=True)


def _section(title: str, table: TableContent, *, titled: bool = False) -> str:
    lines = [f"## {title}", "", *([table.title + ".", ""] if titled else []), *markdown_lines(table), ""]
    return "\n".join(lines)


def _ways_table(rows: list[Frozen], steps: int) -> TableContent:
    heads = "dynamic", "own plan", "mean gates", "merged", f"{steps} steps", "first variants"
    content = tuple(
        (
            row.kind,
            f"{row.dynamic:.2f}",
            *(f"{value - row.dynamic:+.2f}" for value in row.frozen),
        )
        for row in rows
    )
    return TableContent("Four ways to freeze", ("degradation", *heads), content)


def _saved_table(found: Saved, names: tuple[str, ...]) -> TableContent:
    parts = (
        ("weights in fp16, MB", found.megabytes),
        ("whole tile, ms", found.whole_ms),
        ("MiM branch, ms", found.branch_ms),
    )
    rows = tuple(
        (name, f"{first:.1f}", *(f"{value:.1f} ({first / value:.2f})" for value in others))
        for name, (first, *others) in parts
    )
    return TableContent("What freezing saves", ("", "dynamic", *names), rows)


if __name__ == "__main__":
    run(main)
