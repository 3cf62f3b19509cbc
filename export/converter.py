"""What a target declares: a `Converter`. `export/` and `quantize/` both fill it, the CLI picks by precision."""

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mimdit.errors import MimditError, MissingPackageError
from mimdit.targets import Precision, Target

if TYPE_CHECKING:
    from mimdit.export.graph import DeployableGraph

# (graphs, precision, folder, bundle id): writes the model files of all graphs into the folder, each carrying the id.
# Graphs of one bundle may share what is equal.
Convert = Callable[[Sequence["DeployableGraph"], Precision, Path, str], None]


@dataclass(frozen=True)
class KnownFailure:
    """A combination that is expected to fail: still run, and strict."""

    precision: Precision
    reason: str
    link: str


@dataclass(frozen=True)
class Converter:
    """One target's way from graphs to files."""

    target: Target
    precisions: tuple[Precision, ...]
    requires: tuple[str, ...]  # import names, looked for with find_spec, never imported to list
    suffix: str  # of the file or folder that holds one graph, which is called graph.name + suffix
    tolerance: Mapping[Precision, float]  # largest absolute error, on 0..1, that parity allows
    convert: Convert
    tensor_names: Callable[[Path], Iterable[str]]  # of the tensors in a written file, to count experts by
    # Of a written file: sub-experts by their weights, see `expert_digests`; None where a file cannot tell them.
    expert_weights: Callable[[Path], Mapping[str, str]] | None = None
    known_failures: tuple[KnownFailure, ...] = ()
    beta: bool = False  # the target's own packages are pre-releases: files may have to be built again
    # Whether fp16 files compute in fp16, so that the operations of `graph.fragile` are kept in fp32. Elsewhere fp16 is
    # how weights are stored.
    half_arithmetic: bool = False
    all_half: frozenset[str] = frozenset()  # platforms whose converter takes no exceptions from fp16
    remark: Callable[[Path], str] | None = None  # what else a written file has to say while building
    # Where a file is made for one kind of system or chip: what each is called here and how it is converted for, and
    # which of them `convert` is for. Empty and None where one file serves all.
    platforms: Mapping[str, Convert] = field(default_factory=dict)
    platform: str | None = None

    def missing(self) -> tuple[str, ...]:
        """The packages that are not installed here."""
        return tuple(name for name in self.requires if importlib.util.find_spec(name) is None)

    def on(self, platform: str) -> "Converter":
        """The same for a named platform; raises with the list of what there is."""
        if not self.platforms:
            raise MimditError(f"files for {self.target} are the same on every platform: leave out --platform")
        if platform not in self.platforms:
            raise MimditError(
                f"{self.target} cannot be built for {platform}: choose one of {', '.join(self.platforms)}"
            )
        return replace(self, convert=self.platforms[platform], platform=platform)


def find(converters: Sequence[Converter], target: str, precision: str) -> Converter:
    """The converter for target and precision; raises with the list of what exists, or the extra to install."""
    for converter in converters:
        if converter.target == target and precision in converter.precisions:
            if missing := converter.missing():
                raise MissingPackageError(missing[0], converter.target)
            return converter
    known = "; ".join(f"{c.target}: {', '.join(c.precisions)}" for c in converters)
    raise MimditError(f"{target} at {precision} cannot be built: what can is {known}")
