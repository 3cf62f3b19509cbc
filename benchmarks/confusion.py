"""The confusion matrix of `auto`: what is wrong with a photo × which variant it would use.

    python -m mimdit.benchmarks.confusion DATA [BUNDLE]

DATA is a folder with a MANIFEST.tsv, as for `mimdit evaluate`. Prints Markdown on stdout.
"""

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mimdit.benchmarks.datasets import Group, manifest_groups
from mimdit.bundle import open_bundle
from mimdit.runtimes.restore import Restorer
from mimdit.script import run
from mimdit.targets import VARIANTS

NONE = "none"  # leave the photo alone
_ANSWERS = (*VARIANTS, NONE)


@dataclass(frozen=True)
class ConfusionRow:
    """How often photos of one group got each answer; `wanted` is the variant that belongs to them, or "none"."""

    group: str
    wanted: str
    answers: Counter[str]

    @property
    def right(self) -> float:
        """Share of photos that got the variant that belongs to them, 0..1."""
        return self.answers[self.wanted] / max(1, self.answers.total())


def confusion(restorer: Restorer, groups: Iterable[Group]) -> list[ConfusionRow]:
    """One row a group, in their order. Raises PhotoError for a photo that cannot be read."""
    rows = []
    for group in groups:
        answers = Counter("+".join(restorer.judge(case.load().input)[1]) or NONE for case in group.cases)
        rows.append(ConfusionRow(f"{group.degradation} ({group.dataset})", group.variant or NONE, answers))
    return rows


def markdown(rows: Iterable[ConfusionRow]) -> str:
    """A table with a line a group: counts, the wanted answer's in bold, and the share that is right."""
    lines = [
        "| photos | " + " | ".join(_ANSWERS) + " | right |",
        "| --- |" + " ---: |" * (len(_ANSWERS) + 1),
    ]
    for row in rows:
        counts = [f"**{row.answers[a]}**" if a == row.wanted else str(row.answers[a] or "") for a in _ANSWERS]
        lines.append(f"| {row.group} | " + " | ".join(counts) + f" | {row.right:.0%} |")
    return "\n".join(lines) + "\n"


def main(
    data: Annotated[Path, typer.Argument(help="A folder with a MANIFEST.tsv.")],
    bundle: Annotated[Path | None, typer.Argument(help="By default the embedded one.")] = None,
) -> None:
    """Print the confusion matrix of `auto`."""
    sys.stdout.write(markdown(confusion(Restorer(open_bundle(bundle)), manifest_groups(data))))


if __name__ == "__main__":
    run(main)
