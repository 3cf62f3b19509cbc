"""Which sub-experts a model file really holds, told from the names of its tensors."""

import re
from collections.abc import Iterable

from mimdit.routing.plan import RoutingPlan

_EXPERT = re.compile(r"(?:^|\.)branch\.blocks\.(\d+)\.experts\.([a-z]+_\d+)\.")


def experts_inside(tensor_names: Iterable[str]) -> set[tuple[int, str]]:
    """(MiM block, sub-expert name) of every sub-expert with at least one tensor among the names."""
    matches = (_EXPERT.search(name) for name in tensor_names)
    return {(int(match[1]), match[2]) for match in matches if match}


def plan_difference(plan: RoutingPlan, tensor_names: Iterable[str]) -> str | None:
    """One line naming a sub-expert that is missing or one too many; None if exactly the plan's are inside."""
    wanted = {(b, kept.name) for b, block in enumerate(plan.blocks) for kept in block.experts}
    found = experts_inside(tensor_names)
    if missing := sorted(wanted - found):
        return f"sub-expert {missing[0][1]} of MiM block {missing[0][0]} is in the plan but not in the file"
    if surplus := sorted(found - wanted):
        return f"sub-expert {surplus[0][1]} of MiM block {surplus[0][0]} is in the file but not in the plan"
    return None
