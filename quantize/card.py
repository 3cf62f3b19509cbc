"""CALIBRATION.md and its plot: what a quantized bundle's activations were seen on. They lie in the bundle."""

from pathlib import Path

from mimdit.figures import png
from mimdit.files import write_file
from mimdit.manifest import Calibration
from mimdit.quantize.calibration import MEASURES, CalibrationSet

__all__ = ["write_card"]

CARD, PLOT = "CALIBRATION.md", "calibration.png"


def write_card(folder: Path, tiles: CalibrationSet) -> None:
    """Both files into a folder."""
    write_file(folder / CARD, _words(tiles.describe()).encode())
    write_file(folder / PLOT, _plot(tiles))


def _words(facts: Calibration) -> str:
    lines = [
        "# Calibration\n",
        f"- tiles: {sum(facts.kinds.values())} of {facts.tile}×{facts.tile} px, one at a time, in a fixed order",
        f"- photos: {facts.photos}, {facts.source}",
        f"- seed: {facts.seed}",
        f"- SHA-256 of the tiles: {facts.sha256}",
        f"- degradations: {', '.join(f'{kind} {count}' for kind, count in facts.kinds.items())}\n",
        "| on 0..1 | smallest | median | largest |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, spread in facts.coverage.items():
        lines.append(f"| {name} | {spread.low:.4f} | {spread.middle:.4f} | {spread.high:.4f} |")
    return "\n".join(lines) + f"\n\n![Every tile by brightness, noise and texture]({PLOT})\n"


def _plot(tiles: CalibrationSet) -> bytes:
    """PNG: a dot for each tile, in two of the three measures at a time; colours are degradations."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    panels = figure.subplots(1, 2)
    kinds = list(dict.fromkeys(tile.kind for tile in tiles.tiles))
    for panel, other in zip(panels, MEASURES[1:], strict=True):
        for kind in kinds:
            of_kind = [tile for tile in tiles.tiles if tile.kind == kind]
            across, up = ([getattr(tile, name) for tile in of_kind] for name in (MEASURES[0], other))
            panel.plot(across, up, "o", label=kind, markersize=4)
        panel.set_xlabel(MEASURES[0])
        panel.set_ylabel(other)
    panels[1].legend(fontsize=7)
    return png(figure, 100)
