"""Which photos are measured: groups of degraded photos with their truths, from a manifest or from two folders.

A data set is a folder with a MANIFEST.tsv of the columns split, task, kind, input, gt, source, licence, note; `input`
and `gt` are paths inside the folder. What is wrong with a photo stands in the first word of its task: `denoise_real`,
`dehaze_reside`, `lowlight_real`. Photos of `clean_…` tasks are degraded here (`mimdit.benchmarks.synthetic`). Photos
without a truth are restored all the same, to be looked at. `align +-8px` in the kind says that input and truth may be
displaced against each other by so much.
"""

import csv
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from mimdit.benchmarks.synthetic import SYNTHETIC, Synthetic, degraded
from mimdit.errors import MimditError, PhotoError
from mimdit.example_photos import EXAMPLES, read_examples
from mimdit.image import SUFFIXES, load
from mimdit.pixels import from_unit, to_unit
from mimdit.targets import VARIANT_DEGRADATIONS, Variant

__all__ = [
    "CLEAN",
    "LONG_SIDE",
    "MANIFEST",
    "Case",
    "Group",
    "Pair",
    "example_groups",
    "folder_groups",
    "manifest_groups",
    "select",
]

MANIFEST = "MANIFEST.tsv"
CLEAN = "clean"  # the degradation of photos that have none
LONG_SIDE = 1024  # px; larger photos are reduced to it, input and truth alike

_COLUMNS = ("split", "task", "kind", "input", "gt", "source", "licence", "note")
_ALIGN = re.compile(r"align \+-(\d+)px")

# First word of a task → what is wrong, and the variant that belongs to it.
_TASKS: dict[str, tuple[str, Variant]] = {
    "denoise": ("noise", "denoise"),
    "deblur": ("blur", "deblur"),
    "dehaze": ("haze", "dehaze"),
    "haze": ("haze", "dehaze"),
    "derain": ("rain", "derain"),
    "rain": ("rain", "derain"),
    "lowlight": ("lowlight", "lowlight"),
    "lol": ("lowlight", "lowlight"),
    "dejpeg": ("jpeg", "dejpeg"),
    "jpeg": ("jpeg", "dejpeg"),
}
_UNKNOWN: tuple[str, Variant] = ("unknown", "general")


@dataclass(frozen=True)
class Pair:
    """A degraded photo and its truth, u8[H,W,3] of one shape; the truth is None where nobody has it.

    grey: the input's file has no colour, so a result is written, and measured, without any.
    """

    input: np.ndarray
    truth: np.ndarray | None
    grey: bool = False


@dataclass(frozen=True)
class Case:
    """One photo to restore. `image` names it; `load` reads or makes it, and raises PhotoError."""

    image: str
    load: Callable[[], Pair]


@dataclass(frozen=True)
class Group:
    """Photos of one degradation from one data set: what one line of a table averages over.

    variant     the one that belongs to the degradation; None for clean photos, which belong to none
    reach       px by which input and truth may be displaced
    sigma_255   noise level for methods that must be told, None where unknown
    """

    degradation: str
    dataset: str
    variant: Variant | None
    cases: tuple[Case, ...]
    reach: int = 0
    sigma_255: float | None = None


def manifest_groups(folder: Path) -> list[Group]:
    """The groups of a data set, in the order of its manifest. Raises MimditError where that cannot be read."""
    tasks: dict[str, list[dict[str, str]]] = {}
    for row in _rows(folder / MANIFEST):
        tasks.setdefault(row["task"], []).append(row)
    groups: list[Group] = []
    for task, rows in tasks.items():
        word = task.split("_")[0]
        if word == CLEAN:
            groups += _clean_groups(task, [folder / row["input"] for row in rows])
            continue
        degradation, variant = _TASKS.get(word, _UNKNOWN)
        cases = [_real_case(folder / row["input"], folder / row["gt"] if row["gt"] else None) for row in rows]
        found = _ALIGN.search(rows[0]["kind"])
        groups.append(Group(degradation, task, variant, tuple(cases), int(found[1]) if found else 0))
    return groups


def folder_groups(inputs: Path, truth: Path | None) -> list[Group]:
    """One group: each photo below `inputs` with that of the same relative name, but for the suffix, below `truth`.

    Nobody says what is wrong with them: the variant that belongs to them is `general`. Raises PhotoError.
    """
    truths = {} if truth is None else {path.relative_to(truth).with_suffix(""): path for path in _photos(truth)}
    cases = []
    for path in _photos(inputs):
        name = path.relative_to(inputs)
        if truth is not None and name.with_suffix("") not in truths:
            raise PhotoError(f"{path}: expected its truth in {truth} under the same name, found none")
        cases.append(replace(_real_case(path, truths.get(name.with_suffix(""))), image=name.as_posix()))
    degradation, variant = _UNKNOWN
    return [Group(degradation, inputs.resolve().name, variant, tuple(cases))]


def example_groups() -> list[Group]:
    """The example photos of the package: one group a degradation."""
    return [
        Group(
            VARIANT_DEGRADATIONS[example.variant][0],
            "examples",
            example.variant,
            (_real_case(EXAMPLES / example.degraded, EXAMPLES / example.truth),),
        )
        for example in read_examples()
    ]


def select(groups: Iterable[Group], names: Iterable[str] = (), limit: int | None = None) -> list[Group]:
    """The groups whose degradation or data set is among `names` (all without any), `limit` photos of each.

    Raises MimditError for a name that no group has.
    """
    groups = list(groups)
    known = dict.fromkeys([group.degradation for group in groups] + [group.dataset for group in groups])
    wanted = set(names)
    if unknown := wanted - set(known):
        raise MimditError(f"no degradation or data set {sorted(unknown)[0]!r}: choose from {', '.join(known)}")
    kept = [group for group in groups if not wanted or wanted & {group.degradation, group.dataset}]
    return [replace(group, cases=group.cases[:limit]) for group in kept]


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            rows = list(reader)
    except OSError as error:
        raise MimditError(f"{path}: cannot be read ({error.strerror}): name a folder with a {MANIFEST}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise MimditError(f"{path}: is no table of tab-separated values ({error})") from None
    if tuple(reader.fieldnames or ()) != _COLUMNS:
        found = " ".join(reader.fieldnames or ()) or "nothing"
        raise MimditError(f"{path}: expected the columns {' '.join(_COLUMNS)}, found {found:.200}")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values() or not row["task"] or not row["input"]:
            raise MimditError(f"{path}: line {number} has not {len(_COLUMNS)} values with a task and an input")
    if not rows:
        raise MimditError(f"{path}: lists no photos")
    return rows


def _photos(folder: Path) -> list[Path]:
    photos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not photos:
        raise PhotoError(f"{folder}: expected a folder of photos, found none ({' '.join(SUFFIXES)})")
    return photos


def _clean_groups(task: str, paths: list[Path]) -> list[Group]:
    """Clean photos as they are, and in every synthetic degradation."""
    clean = Group(CLEAN, task, None, tuple(Case(path.stem, partial(_clean_pair, path)) for path in paths))
    return [clean] + [
        Group(
            synthetic.name,
            task,
            synthetic.variant,
            tuple(Case(path.stem, partial(_synthetic_pair, path, synthetic)) for path in paths),
            sigma_255=synthetic.sigma_255,
        )
        for synthetic in SYNTHETIC
    ]


def _real_case(path: Path, truth: Path | None) -> Case:
    return Case(path.stem, partial(_real_pair, path, truth))


def _real_pair(path: Path, truth: Path | None) -> Pair:
    photo = load(path)
    pair = Pair(_reduced(photo.pixels), None if truth is None else _reduced(load(truth).pixels), photo.grey)
    if pair.truth is not None and pair.input.shape != pair.truth.shape:
        raise PhotoError(f"{path}: expected the size of its truth {truth}, found another")
    return pair


def _clean_pair(path: Path) -> Pair:
    photo = load(path)
    pixels = _reduced(photo.pixels)
    return Pair(pixels, pixels, photo.grey)


def _synthetic_pair(path: Path, synthetic: Synthetic) -> Pair:
    clean = _reduced(load(path).pixels)
    return Pair(degraded(clean, synthetic, path.stem), clean)


def _reduced(pixels: np.ndarray) -> np.ndarray:
    """[H,W,3] of any depth → u8 with at most LONG_SIDE px on its long side, aspect kept, by a Lanczos filter."""
    if pixels.dtype != np.uint8:
        pixels = from_unit(np.clip(to_unit(pixels), 0, 1), np.dtype(np.uint8))
    height, width = pixels.shape[:2]
    if max(height, width) <= LONG_SIDE:
        return pixels
    from PIL import Image

    scale = LONG_SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
