"""The tables of docs/results.md, and what is counted from them: all of accuracy summaries, none measures anything."""

from collections import Counter
from collections.abc import Sequence

from mimdit.benchmarks.accuracy_report import Summary
from mimdit.benchmarks.bars import Bar, belongs
from mimdit.benchmarks.datasets import CLEAN
from mimdit.benchmarks.methods import AUTO
from mimdit.benchmarks.quality import Quality
from mimdit.benchmarks.table import TableContent
from mimdit.targets import VARIANTS

__all__ = [
    "bar_table",
    "clean_table",
    "look_table",
    "quality_table",
    "restored_table",
    "sampling_counts",
    "sampling_table",
    "steps_table",
    "today_table",
]

_BESIDE = ("general", AUTO)
_Found = dict[tuple[str, str], list[Summary]]


def bar_table(rows: Sequence[Bar]) -> TableContent:
    """Wanted and found, and by how much it is missed."""
    cells = tuple(
        (
            bar.what,
            f"{bar.wanted:.2f}",
            f"{bar.found:.2f}",
            "yes" if bar.holds else f"no: {bar.found - bar.wanted:+.2f}",
        )
        for bar in rows
    )
    return TableContent("Bars", ("what", "at least", "found", "reached"), cells)


def restored_table(summaries: Sequence[Summary], method: str) -> TableContent:
    """A row a group that has truths: input, own variant, general and auto."""
    rows = []
    for found in _degraded(summaries).values():
        rows.append((*_before(found), *map(_decibels, _bundle_rows(found, method))))
    return TableContent("Restored", ("photos", "n", "input", "variant", *_BESIDE), tuple(rows))


def today_table(summaries: Sequence[Summary], method: str) -> TableContent:
    """A row a group that has truths: input, own variant, and every peer that was run on it, the best first."""
    rows = []
    for found in _degraded(summaries).values():
        peers = sorted((s for s in found if s.method != method), key=lambda s: -(s.restored.psnr or 0))
        if peers:
            others = ", ".join(f"{s.method} {_decibels(s)}" for s in peers)
            rows.append((*_before(found), _decibels(_bundle_rows(found, method)[0]), others))
    return TableContent("Today", ("photos", "n", "input", "variant", "today"), tuple(rows))


def quality_table(summaries: Sequence[Summary], method: str) -> TableContent:
    """A row a group: SSIM / FLIP of the input, the variant that belongs, and every peer, the highest SSIM first."""
    rows = []
    for found in _degraded(summaries).values():
        if own := _bundle_rows(found, method)[0]:
            peers = sorted((s for s in found if s.method != method), key=lambda s: -(s.restored.ssim or 0))
            others = ", ".join(f"{s.method} {_likeness(s.restored)}" for s in peers)
            rows.append((_photos(found), _likeness(own.input), _likeness(own.restored), others or "–"))
    return TableContent("Quality", ("photos", "input", "variant", "today"), tuple(rows))


def look_table(summaries: Sequence[Summary], method: str) -> TableContent:
    """A row a group, those without truths too: how many photos the variant that belongs left to be looked at; why."""
    rows = []
    for (degradation, _), found in _groups(summaries).items():
        if degradation != CLEAN and (own := _bundle_rows(found, method)[0]):
            scores = (own.cast, own.seam_score, own.patch_score)
            cells = (_number(score, ".1f") for score in scores)
            rows.append((f"{_photos(found)}, {own.variant}", str(own.images), str(own.suspicious), *cells))
    heads = ("photos", "n", "to look at", "cast, mean", "seam score, worst", "patch score, worst")
    return TableContent("Looks", heads, tuple(rows))


def clean_table(summaries: Sequence[Summary], method: str) -> TableContent:
    """Clean photos against themselves, mean and worst: a row a data set, a column a choice; 100 dB stand for equal."""
    chosen = [*VARIANTS, AUTO]
    rows = []
    for (degradation, dataset), found in _groups(summaries).items():
        if degradation == CLEAN:
            own = {s.variant: s for s in found if s.method == method}
            rows.append((dataset, *(f"{_decibels(s)} / {_number(s and s.least, '.1f')}" for s in map(own.get, chosen))))
    return TableContent("Clean", ("data set", *chosen), tuple(rows))


def steps_table(summaries: Sequence[Summary], method: str, samplers: Sequence[str]) -> TableContent:
    """A row a group: input, every sampler, own variant, general and auto, on the same photos."""
    rows = []
    for found in _degraded(summaries).values():
        sampled = {s.method: s for s in found}
        columns = (*(sampled.get(name) for name in samplers), *_bundle_rows(found, method))
        rows.append((*_before(found), *map(_decibels, columns)))
    heads = ("photos", "n", "input", *samplers, "variant", *_BESIDE)
    return TableContent("Steps", heads, tuple(rows))


def sampling_table(summaries: Sequence[Summary], samplers: Sequence[str]) -> TableContent:
    """A row a group: FLIP / sharpness of the input and of each sampler."""
    rows = []
    for found in _degraded(summaries).values():
        sampled = {s.method: s for s in found}
        each = (found[0].input, *(sampled[name].restored for name in samplers))
        cells = (f"{_number(q.flip, '.3f')} / {_number(q.sharpness)}" for q in each)
        rows.append((_photos(found), *cells))
    return TableContent("Sampling", ("FLIP / sharpness", "input", *samplers), tuple(rows))


def sampling_counts(summaries: Sequence[Summary], method: str, samplers: Sequence[str], student: str) -> str:
    """In how many groups the reference is best at which number of steps, and what is better than its best."""
    groups = _degraded(summaries).values()
    if not groups:
        return ""
    best: Counter[str] = Counter()
    above = dict.fromkeys(("the input", f"`{student}`", "the variant"), 0)
    for found in groups:
        sampled = {s.method: s.restored.psnr or 0 for s in found}
        name = max((name for name in samplers if name.startswith("reference")), key=lambda name: sampled[name])
        best[name] += 1
        own = _bundle_rows(found, method)[0]
        others = (found[0].input.psnr, sampled.get(student), own and own.restored.psnr)
        for other, value in zip(above, others, strict=True):
            above[other] += value is not None and value > sampled[name]
    steps = ", ".join(f"{best[name]} with {name.removeprefix('reference, ')}" for name in samplers if best[name])
    more = ", ".join(f"{other} in {count}" for other, count in above.items())
    return f"Of {len(groups)} groups the reference restores most in {steps}; above that is {more}.\n"


def _photos(found: Sequence[Summary]) -> str:
    return f"{found[0].degradation} ({found[0].dataset})"


def _before(found: Sequence[Summary]) -> tuple[str, str, str]:
    """What a row begins with: the photos, how many, and their PSNR as they were."""
    return _photos(found), str(found[0].images), _number(found[0].input.psnr)


def _bundle_rows(found: Sequence[Summary], method: str) -> tuple[Summary | None, Summary | None, Summary | None]:
    """Own variant, general and auto, of one group; `general` is the own variant of mixtures."""
    own = {s.variant: s for s in found if s.method == method}
    matched = next((s for s in found if belongs(s, method)), None)
    return matched, own.get("general"), own.get(AUTO)


def _groups(summaries: Sequence[Summary]) -> _Found:
    groups: _Found = {}
    for s in summaries:
        groups.setdefault((s.degradation, s.dataset), []).append(s)
    return groups


def _degraded(summaries: Sequence[Summary]) -> _Found:
    """The groups of degraded photos whose truth is known."""
    return {
        key: found for key, found in _groups(summaries).items() if key[0] != CLEAN and found[0].input.psnr is not None
    }


def _likeness(quality: Quality) -> str:
    return f"{_number(quality.ssim, '.3f')} / {_number(quality.flip, '.3f')}"


def _decibels(summary: Summary | None) -> str:
    return "–" if summary is None else _number(summary.restored.psnr)


def _number(value: float | None, form: str = ".2f") -> str:
    return "–" if value is None else format(value, form)
