"""Charts as PNG. Figures are made with `matplotlib.figure.Figure`, not pyplot: no display, no state to close."""

from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["png"]


def png(figure: "Figure", dpi: int) -> bytes:
    """The figure, drawn."""
    file = BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    return file.getvalue()
