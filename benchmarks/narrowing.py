"""What narrowing costs: frozen variants with all their sub-experts, with few of them, and tuned again.

Part of `python -m mimdit.benchmarks.routing_report`.
"""

from collections.abc import Mapping, Sequence

from mimdit.benchmarks.ablations import decibels, of_kinds
from mimdit.benchmarks.table import TableContent
from mimdit.model.mimdit import MiMDiT
from mimdit.routing.prior import family_of
from mimdit.targets import DEGRADATIONS, DISPATCHER_CLASSES, Variant
from mimdit.train.data import Batch

__all__ = ["narrowing"]


def narrowing(
    before: Mapping[Variant, MiMDiT],
    narrowed: Mapping[Variant, MiMDiT],
    tuned: Mapping[Variant, MiMDiT],
    examples: Sequence[Batch],
) -> TableContent:
    """Of each degradation's own variant: dB before, right after, and tuned again as it ships; and what it kept."""
    rows = []
    for kind in DEGRADATIONS:
        name = DISPATCHER_CLASSES[family_of(kind)]
        plan = narrowed[name].shape.plan
        assert plan is not None
        own = of_kinds(examples, [kind])
        first, after, again = (decibels(models[name].eval(), own)[kind] for models in (before, narrowed, tuned))
        kept = ", ".join(f"{b} {expert.name}" for b, block in enumerate(plan.blocks) for expert in block.experts)
        rows.append((kind, f"{first:.2f}", f"{after - first:+.2f}", f"{again - first:+.2f}", kept))
    heads = "degradation", "all", "narrowed", "and tuned again", "what stays: MiM block, sub-expert"
    return TableContent("Narrowing", heads, tuple(rows))
