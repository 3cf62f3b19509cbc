"""Which sub-experts a model file really holds, told from the names of its tensors, and from their values."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

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


def expert_digests(tensors: Iterable[tuple[str, np.ndarray]]) -> dict[str, str]:
    """Named tensors of a file → "block.sub-expert" to 16 hex digits of its weights.

    Of each tensor the sorted values count, in fp32: converters transpose and reshape, and store fp16 where it is exact.
    """
    parts: dict[str, list[str]] = defaultdict(list)
    for name, values in tensors:
        if match := _EXPERT.search(name):
            ordered = np.sort(values.astype(np.float32), axis=None)
            parts[f"{match[1]}.{match[2]}"].append(hashlib.sha256(ordered.tobytes()).hexdigest())
    return {
        expert: hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()[:16]
        for expert, digests in sorted(parts.items())
    }


def weights_difference(wanted: Mapping[str, str], found: Mapping[str, str]) -> str | None:
    """One line naming a sub-expert that has not its own weights, and whose they are; None if all have."""
    for expert, digest in wanted.items():
        if found.get(expert) != digest:
            block, name = expert.split(".")
            other = next((e.split(".") for e, d in wanted.items() if d == found.get(expert)), None)
            whose = f"those of {other[1]} of block {other[0]}" if other else "others than it was built with"
            return f"sub-expert {name} of MiM block {block} has {whose} for weights"
    return None
