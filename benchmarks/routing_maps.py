"""Heat maps of what routers decide: Inter-MoE weights and Intra-MoE choices, one row a degradation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mimdit.figures import png
from mimdit.files import write_file
from mimdit.routing.information import choice_shares
from mimdit.routing.plan import GROUPS
from mimdit.routing.record import RouterStatistics

__all__ = ["inter_weights", "write_maps"]


def inter_weights(statistics: RouterStatistics, kinds: Sequence[str]) -> np.ndarray:
    """f64[K,M,4]: mean Inter-MoE weight of every group, for photos of each kind."""
    return np.stack([statistics.of([kind]).inter.mean(0) for kind in kinds]).astype(np.float64)


def write_maps(statistics: RouterStatistics, kinds: Sequence[str], folder: Path) -> tuple[str, str]:
    """Write both PNGs into `folder` and return their names."""
    inter, intra = inter_weights(statistics, kinds), choice_shares(statistics, kinds)
    blocks, experts = intra.shape[1], intra.shape[3]
    places = [f"{b} {group}" for b in range(blocks) for group in GROUPS]
    members = [f"{place} {e}" if e == 0 else str(e) for place in places for e in range(experts)]
    names = "routing-inter.png", "routing-intra.png"
    _write(inter.reshape(len(kinds), -1), kinds, places, "mean weight of the group (Inter-MoE)", folder / names[0])
    shares = intra.reshape(len(kinds), -1)
    _write(shares, kinds, members, "share of photos that chose the sub-expert (Intra-MoE)", folder / names[1])
    return names


def _write(values: np.ndarray, rows: Sequence[str], columns: Sequence[str], title: str, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(7.0, 0.3 * len(columns) + 2), 3.4), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(values, aspect="auto", cmap="viridis", vmin=0)
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=8)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel("MiM block and group")
    axes.set_title(title, fontsize=10)
    figure.colorbar(image, ax=axes, pad=0.01)
    write_file(path, png(figure, 110), overwrite=True)
