"""The card: what a person wants to know about a bundle, as a few facts and tables.

The same content is Markdown in the bundle (CARD.md) and a set of tables on the terminal (`mimdit info`).
"""

import re
from dataclasses import dataclass

from mimdit.manifest import Manifest, Parity

__all__ = ["Table", "card", "facts", "tables"]


@dataclass(frozen=True)
class Table:
    """A titled table of texts; every row has as many cells as there are columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def facts(manifest: Manifest) -> dict[str, str]:
    """The bundle in a few lines, name → value."""
    dispatcher = manifest.dispatcher
    return {
        "id": manifest.id,
        "target": " ".join(filter(None, (manifest.target, manifest.precision, manifest.platform))),
        "size": f"{sum(file.bytes for file in manifest.files) / 1e6:.1f} MB in {len(manifest.files)} files",
        "checkpoint": manifest.checkpoint,
        "tiles": f"overlap {manifest.tile_overlap} px, whole-photo view {manifest.photo_size}×{manifest.photo_size} px",
        "dispatcher": f"{len(dispatcher.classes)} classes, threshold {dispatcher.threshold:g}"
        if dispatcher
        else "none",
        "built with": ", ".join(f"{name} {version}" for name, version in sorted(manifest.built_with.items()))
        or "unknown",
        "built by": manifest.command,
    }


def tables(manifest: Manifest) -> tuple[Table, ...]:
    """The models, and what they reach on photos that they were not trained on."""
    models = Table(
        "Models",
        ("variant", "tile", "steps", "parameters", "GMAC a tile", "experts kept", "parity"),
        tuple(
            (
                model.variant,
                f"{model.tile} px",
                str(model.steps),
                f"{model.parameters / 1e6:.2f} M",
                f"{model.gmac:.2f}",
                str(model.plan.experts),
                _parity(model.parity),
            )
            for model in manifest.models
        ),
    )
    accuracy = Table(
        "Accuracy (mean PSNR in dB)",
        ("variant", "degradation", "dataset", "images", "input", "restored", "gain"),
        tuple(
            (
                row.variant,
                row.degradation,
                row.dataset,
                str(row.images),
                f"{row.input_psnr:.2f}",
                f"{row.psnr:.2f}",
                f"{row.psnr - row.input_psnr:+.2f}",
            )
            for row in manifest.accuracy
        ),
    )
    return (models, accuracy) if accuracy.rows else (models,)


def card(manifest: Manifest) -> str:
    """The Markdown of CARD.md."""
    parts = [f"# {_escape(manifest.name)}\n"]
    parts += [f"- {name}: {_escape(value)}" for name, value in facts(manifest).items()]
    for table in tables(manifest):
        parts += [f"\n## {table.title}\n", _line(table.columns), _line(["---"] * len(table.columns))]
        parts += [_line([_escape(cell) for cell in row]) for row in table.rows]
    return "\n".join(parts) + "\n"


def _parity(parity: Parity) -> str:
    if parity.status == "not measured":
        return f"not measured: {parity.reason}"
    return f"passed, max error {parity.max_error:.1e} (at most {parity.tolerance:.0e})"


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>|])", r"\\\1", text)
