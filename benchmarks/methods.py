"""What restores photos in an accuracy run, in one shape: bundles here, model folders and peers in files beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from mimdit.benchmarks.datasets import Group
from mimdit.benchmarks.factors import network_hash
from mimdit.errors import BundleError, MimditError
from mimdit.runtimes.restore import Restorer, VariantChoice
from mimdit.runtimes.view import WholePhotoView
from mimdit.targets import VARIANTS, Variant

if TYPE_CHECKING:
    from mimdit.bundle import Bundle

__all__ = ["AUTO", "MATCHED", "Answer", "Attempt", "Method", "Pieces", "bundle_method", "check_choices", "chosen"]

MATCHED = "matched"  # the variant that belongs to the degradation; for clean photos each variant in turn
AUTO = "auto"  # the variant that the dispatcher chooses


class Pieces(NamedTuple):
    """How a photo was restored in tiles. `view` is None where a single one held it, or where none is held to a view."""

    tile: int  # px
    overlap: int  # px
    view: WholePhotoView | None


class Answer(NamedTuple):
    """A restored photo u8[H,W,3], the variant that did it, and its tiles, None where there were none."""

    pixels: np.ndarray
    used: str | None = None
    pieces: Pieces | None = None


@dataclass(frozen=True)
class Attempt:
    """One way to restore a group. `restore` maps u8[H,W,3] to the same shape, and says which variant did it.

    `identity` says all that it follows from, for whoever keeps rows (`mimdit.benchmarks.kept_rows`); None: not kept.
    """

    variant: str | None
    restore: Callable[[np.ndarray], Answer]
    identity: Callable[[], str] | None = None


@dataclass(frozen=True)
class Method:
    """Something that restores. `identity` says what exactly it was; `attempts` may be empty for a group."""

    name: str
    identity: str
    attempts: Callable[[Group], Sequence[Attempt]]


def bundle_method(
    bundle: "Bundle",
    choices: Sequence[str],
    threads: int | None = None,
    provider: str | None = None,
    only_on: str | None = None,
) -> Method:
    """A bundle, through the runtime that an app would use; torch-free. `choices` are variants, `matched`, `auto`.

    only_on: "onnx/ane" is an error for every photo that another unit restored instead. Raises MimditError for a choice
    that the bundle does not offer.
    """
    unasked = len(bundle.variants) == 1  # a sole variant needs no dispatcher to be chosen
    check_choices(choices, bundle.variants, dispatcher=unasked or bundle.manifest.dispatcher is not None)
    restorer = Restorer(bundle, threads=threads, provider=provider)

    def restore(photo: np.ndarray, choice: VariantChoice) -> Answer:
        restored = restorer.restore(photo, choice)
        if only_on and restored.runtime not in (only_on, None):
            raise BundleError(f"was restored on {restored.runtime} in place of {only_on}, which is what is measured")
        pieces = restored.tile and Pieces(restored.tile, bundle.manifest.tile_overlap, restored.view)
        return Answer(restored.pixels, restored.variant or "none", pieces or None)

    @cache
    def identity(choice: str) -> str:
        return _identity(bundle, choice, provider, only_on)

    def attempts(group: Group) -> list[Attempt]:
        names = chosen(choices, group, bundle.variants)
        return [
            Attempt(name, partial(restore, choice=cast(VariantChoice, name)), partial(identity, name)) for name in names
        ]

    return Method(bundle.path.name, f"bundle {bundle.manifest.id}", attempts)


def _identity(bundle: "Bundle", choice: str, *settings: str | None) -> str:
    """What a choice follows from: a variant from its own networks, `auto` from the whole bundle."""
    if choice == AUTO:
        return f"{bundle.manifest.id} {settings}"
    networks = [network_hash(bundle, entry) for entry in bundle.manifest.models if entry.variant == choice]
    return f"{choice} {networks} {bundle.manifest.tile_overlap} {settings}"


def check_choices(choices: Sequence[str], variants: Sequence[Variant], *, dispatcher: bool) -> None:
    """Raises MimditError unless every choice can be made among these variants."""
    known = (*([AUTO] if dispatcher else []), MATCHED, *variants)
    if unknown := [choice for choice in choices if choice not in known]:
        raise MimditError(f"cannot choose variant {unknown[0]!r} here: choose from {', '.join(known)}")


def chosen(choices: Sequence[str], group: Group, variants: Sequence[Variant]) -> tuple[str, ...]:
    """What is tried on a group, each once; nothing for `matched` where the variant is not there."""
    names: list[str] = []
    for choice in choices:
        if choice != MATCHED:
            names.append(choice)
        else:
            wanted = VARIANTS if group.variant is None else (group.variant,)
            names += [variant for variant in wanted if variant in variants]
    return tuple(dict.fromkeys(names))
