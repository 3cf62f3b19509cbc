"""Two runs side by side: only what differs.

Measured times and memory differ always; a time is listed where the 95 % intervals of the medians do not meet, a memory
peak from 2 % on, a quality from 0.005 dB on.
"""

from collections.abc import Iterator
from statistics import fmean

from pydantic import BaseModel

from mimdit.benchmarks.headline import TITLE, headline
from mimdit.benchmarks.run_file import Key, Result, Run, Samples
from mimdit.errors import NotComparableError

__all__ = ["Difference", "compare", "headlines", "paired"]

_DECIBELS = 0.005
_MEMORY = 0.02


class Difference(BaseModel):
    """One thing that differs; `change` says how much where that is a number."""

    result: str  # the bundles' names; "" for what belongs to the whole run
    what: str
    a: str
    b: str
    change: str = ""


def compare(a: Run, b: Run) -> list[Difference]:
    """Raises NotComparableError where no result of one run has a counterpart in the other."""
    found = [*_circumstances(a, b)]
    for one, other in paired(a, b):
        found += [
            Difference(result=_name(one, other), what=what, a=_text(x), b=_text(y), change=change)
            for what, x, y, change in _differences(one, other)
        ]
    return found


def headlines(a: Run, b: Run) -> list[Difference]:
    """The first rows of a report on two runs: each device against its reference, equal or not."""
    return [
        Difference(result=_name(one, other), what=TITLE, a=headline(a, one).sentence(), b=headline(b, other).sentence())
        for one, other in paired(a, b)
    ]


def paired(a: Run, b: Run) -> list[tuple[Result, Result]]:
    """Results of two runs that measured the same thing: one each is a pair; of several, those whose names are equal or,
    failing that, whose keys are equal but for the bundle."""
    if len(a.results) == len(b.results) == 1:
        return [(a.results[0], b.results[0])]
    pairs = []
    for one in a.results:
        same_name = [other for other in b.results if other.name == one.name]
        same_key = [other for other in b.results if _role(other.key) == _role(one.key)]
        if others := same_name or same_key:
            pairs.append((one, others[0]))
    if not pairs:
        names = [", ".join(result.name for result in run.results) for run in (a, b)]
        raise NotComparableError(f"nothing to compare: one run holds {names[0]}, the other {names[1]}")
    return pairs


def _name(one: Result, other: Result) -> str:
    return one.name if one.name == other.name else f"{one.name} → {other.name}"


def _role(key: Key) -> dict:
    return key.model_dump(exclude={"bundle"})


def _circumstances(a: Run, b: Run) -> Iterator[Difference]:
    sections = {
        "": (a.device, b.device),
        "reference ": (a.reference, b.reference),
        "version of ": (a.provenance.versions, b.provenance.versions),
    }
    for prefix, (one, other) in sections.items():
        x, y = _fields(one), _fields(other)
        for name in {**x, **y}:
            if x.get(name) != y.get(name):
                yield Difference(result="", what=f"{prefix}{name}", a=_text(x.get(name)), b=_text(y.get(name)))
    for what in ("affinity", "governor", "power_mode", "invalid"):
        x, y = getattr(a.conditions, what), getattr(b.conditions, what)
        if x != y:
            yield Difference(result="", what=what.replace("_", " "), a=_text(x), b=_text(y))
    for what in ("mimdit", "commit"):
        x, y = getattr(a.provenance, what), getattr(b.provenance, what)
        if x != y:
            yield Difference(result="", what=what, a=_text(x), b=_text(y))


_Found = tuple[str, object, object, str]  # what, a, b, change


def _differences(a: Result, b: Result) -> Iterator[_Found]:
    x, y = _fields(a.key), _fields(b.key)
    for name in x:
        if x[name] != y[name]:
            yield name, x[name], y[name], ""
    yield from _latency(a, b)
    yield from _memory(a, b)
    for name in sorted({*a.size.files, *b.size.files}):
        one, other = a.size.files.get(name), b.size.files.get(name)
        if one != other:
            yield f"bytes of {name}", one, other, "" if None in (one, other) else f"{other - one:+d}"  # type: ignore[operator]
    yield from _quality(a, b)
    yield from _lost(a, b)


def _latency(a: Result, b: Result) -> Iterator[_Found]:
    if a.latency is None or b.latency is None:
        return
    apart = [name for name in _fields(a.key) if name != "bundle" and getattr(a.key, name) != getattr(b.key, name)]
    note = f" (other {', '.join(apart)}: not comparable)" if apart else ""
    one, other = a.latency.graph, b.latency.graph
    if _apart(one, other) and one.median and other.median:
        change = f"{100 * (other.median / one.median - 1):+.1f} %{note}"
        yield "tile median ms", f"{1000 * one.median:.2f}", f"{1000 * other.median:.2f}", change


def _memory(a: Result, b: Result) -> Iterator[_Found]:
    x, y = (result.memory and result.memory.peak_bytes for result in (a, b))
    if x and y and abs(y / x - 1) >= _MEMORY:
        yield "peak memory MB", f"{x / 1e6:.0f}", f"{y / 1e6:.0f}", f"{100 * (y / x - 1):+.1f} %"


def _apart(a: Samples, b: Samples) -> bool:
    if a.median_interval is None or b.median_interval is None:
        return False
    return a.median_interval[0] > b.median_interval[1] or b.median_interval[0] > a.median_interval[1]


def _quality(a: Result, b: Result) -> Iterator[_Found]:
    """Means per degradation over the photos that both runs have, and how many photos changed."""
    of_b = {(i.degradation, i.dataset, i.image): i for i in b.images}
    groups: dict[str, list[tuple[float, float]]] = {}
    for image in a.images:
        other = of_b.pop((image.degradation, image.dataset, image.image), None)
        if other is None:
            yield f"{image.degradation} {image.image}", "measured", "missing", ""
        elif image.error != other.error:
            yield f"{image.degradation} {image.image}", image.error or "restored", other.error or "restored", ""
        elif image.psnr is not None and other.psnr is not None:
            groups.setdefault(image.degradation, []).append((image.psnr, other.psnr))
    for image in of_b.values():
        yield f"{image.degradation} {image.image}", "missing", "measured", ""
    for name, pairs in groups.items():
        moved = [y - x for x, y in pairs if abs(y - x) >= _DECIBELS]
        if moved:
            before, after = fmean(x for x, _ in pairs), fmean(y for _, y in pairs)
            change = (
                f"{after - before:+.2f} dB; {len(moved)} of {len(pairs)} photos, {min(moved):+.2f} … {max(moved):+.2f}"
            )
            yield f"{name} dB", f"{before:.2f}", f"{after:.2f}", change


def _lost(a: Result, b: Result) -> Iterator[_Found]:
    of_b = {(row.degradation, row.image): row for row in b.drift or ()}
    for row in a.drift or ():
        other = of_b.get((row.degradation, row.image))
        if other is not None and abs(row.agreement - other.agreement) >= _DECIBELS:
            change = f"{other.agreement - row.agreement:+.2f} dB"
            yield f"agreement on {row.image} dB", f"{row.agreement:.2f}", f"{other.agreement:.2f}", change


def _fields(part: BaseModel | dict | None) -> dict:
    return dict(part) if part is not None else {}


def _text(value: object) -> str:
    if value is None:
        return "–"
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
