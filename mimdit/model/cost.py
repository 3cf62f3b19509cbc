"""What a network costs: its arithmetic, counted while it runs."""

from collections.abc import Callable

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def gmac(run: Callable[[], object]) -> float:
    """10⁹ multiply-accumulates of one call; of dynamic routing only the sub-experts that were chosen."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):  # a fused kernel is not counted
        run()
    return counter.get_total_flops() / 2e9
