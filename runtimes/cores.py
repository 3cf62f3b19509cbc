"""How many cores a run may use when nobody says: those of this process, not those of the machine."""

import os

__all__ = ["usable_cores"]


def usable_cores() -> int:
    """Runtimes left to themselves count the machine's cores, though a container or taskset may allow fewer."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
