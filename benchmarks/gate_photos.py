"""What the gate reads from photos: accuracy against the truth, drift from the golden, defects that no mean shows."""

from collections.abc import Sequence

import numpy as np

from mimdit.benchmarks.gate_rules import Rules
from mimdit.benchmarks.gate_statistics import Interval, Outcome, judge, mean_interval, samples_needed
from mimdit.benchmarks.run_file import DriftResult, ImageResult, Result
from mimdit.benchmarks.verdict import Finding
from mimdit.errors import NotComparableError

__all__ = ["accuracy", "defects", "drift", "same_photos"]

_CAP = 50.0  # dB, beyond which two photos look equal; without it the photo that one level changed would be the worst
_SAME_INPUT = 0.02  # dB by which decoders of two machines may differ on the degraded photo

_Name = tuple[str, str, str]  # degradation, data set, image


def same_photos(now: Result, before: Result) -> None:
    """Raises NotComparableError unless the run has every photo of the baseline, made from the same input."""
    here = {_name(image): image for image in now.images}
    missing = [name for name in map(_name, before.images) if name not in here]
    if missing:
        raise NotComparableError(
            f"{len(missing)} of the baseline's {len(before.images)} photos are not in the run, first "
            f"{' '.join(missing[0])}: measure the photos that the baseline was recorded with"
        )
    for image in before.images:
        was, found = image.input_psnr, here[_name(image)].input_psnr
        if was is not None and found is not None and abs(found - was) > _SAME_INPUT:
            raise NotComparableError(
                f"the input {image.image} of {image.degradation} is another than the baseline's ({found} dB, was "
                f"{was} dB): measure the same photos"
            )


def accuracy(now: Result, before: Result, rules: Rules, anchor: Sequence[ImageResult] = ()) -> list[Finding]:
    """Two findings for each degradation: its mean and its worst photo; a third where small losses have added up."""
    same_cpu = now.key.instruction_set == before.key.instruction_set
    floor = 0.0 if same_cpu else rules.instruction_set_db
    first = {_name(image): image for image in anchor}
    findings: list[Finding] = []
    for subject, pairs in _pairs(now.images, before.images).items():
        measured = [(new, old) for new, old in pairs if new.psnr is not None and old.psnr is not None]
        if not measured:
            continue
        new, old = (_decibels(column) for column in zip(*measured, strict=True))
        findings.append(_mean(subject, new, old, rules.accuracy_db, floor))
        findings.append(_worst(subject, [image.image for image, _ in measured], new, old, rules.worst_db))
        anchored = [first[_name(image)] for image, _ in measured if _name(image) in first]
        if len(anchored) == len(measured) and any(
            a.psnr != b.psnr for a, (_, b) in zip(anchored, measured, strict=True)
        ):
            subject = f"{subject}, against the anchor"
            against = _mean(subject, new, _decibels(anchored), rules.anchor_db, floor)
            # Better than the anchor is where every line of releases should be: nothing to do about it.
            findings.append(
                against.model_copy(update={"outcome": "pass"}) if against.outcome == "improved" else against
            )
    return findings


def drift(now: Result, before: Result, rules: Rules) -> list[Finding]:
    """How far the worst photo of each degradation moved away from the golden, as root mean square of levels.

    A golden's inputs are no sample of anything: what is said of each is exact, so there is no interval.
    """
    earlier = {(image.degradation, image.image): image for image in before.drift or ()}
    groups: dict[str, list[tuple[DriftResult, DriftResult]]] = {}
    for image in now.drift or ():
        if (image.degradation, image.image) in earlier:
            groups.setdefault(image.degradation, []).append((image, earlier[image.degradation, image.image]))
    findings = []
    for degradation, pairs in groups.items():
        new, old = (_levels(column) for column in zip(*pairs, strict=True))
        place = int(np.argmax(new - old))
        change = round(float(old[place] - new[place]), 4)
        findings.append(
            Finding(
                check="drift",
                subject=degradation,
                outcome=judge(Interval(change, change, change), rules.drift_levels),
                unit="levels",
                baseline=float(old[place]),
                value=float(new[place]),
                change=change,
                tolerance=rules.drift_levels,
                samples=len(pairs),
                note=pairs[place][0].image,
            )
        )
    return findings


def defects(now: Result, before: Result, rules: Rules) -> list[Finding]:
    """One finding for each degradation: photos with a defect that the baseline's did not have."""
    findings = []
    for subject, pairs in _pairs(now.images, before.images).items():
        looked = [(new, old) for new, old in pairs if old.error is None and (new.error or new.defects)]
        found = [(new.image, fault) for new, old in looked if (fault := _new_defect(new, old, rules))]
        if looked:
            findings.append(
                Finding(
                    check="defects",
                    subject=subject,
                    outcome="regressed" if found else "pass",
                    unit="photos",
                    baseline=0,
                    value=len(found),
                    samples=len(looked),
                    note="; ".join(f"{image}: {fault}" for image, fault in found[:3]),
                )
            )
    return findings


def _new_defect(new: ImageResult, old: ImageResult, rules: Rules) -> str | None:
    """What is wrong with a photo that was not wrong with the baseline's, the plainest first; None for nothing."""
    if new.error is not None:
        return f"not restored, {new.error}"
    here, there = new.defects, old.defects
    if here is None or there is None:
        return None
    if here.black_blocks > there.black_blocks:
        return f"{here.black_blocks} black blocks"
    if here.swapped and not there.swapped:
        return "red and blue are exchanged"
    if here.displaced_blocks > there.displaced_blocks:
        return f"{here.displaced_blocks} blocks lie one pixel off"
    rises = (
        ("colour cast", here.cast, there.cast, rules.cast_levels),
        ("seam", here.seam, there.seam, rules.seam_levels),
        ("brightness patch", here.patch, there.patch, rules.patch_levels),
    )
    return next((f"{name} of {a:.1f} levels, was {b:.1f}" for name, a, b, limit in rises if a > b + limit), None)


def _pairs(
    now: Sequence[ImageResult], before: Sequence[ImageResult]
) -> dict[str, list[tuple[ImageResult, ImageResult]]]:
    """Degradation and data set → (now, before) of each photo that both have, in the baseline's order."""
    here = {_name(image): image for image in now}
    groups: dict[str, list[tuple[ImageResult, ImageResult]]] = {}
    for old in before:
        if _name(old) in here:
            groups.setdefault(f"{old.degradation} ({old.dataset})", []).append((here[_name(old)], old))
    return groups


def _mean(subject: str, new: np.ndarray, old: np.ndarray, tolerance: float, floor: float) -> Finding:
    """The mean of [n] paired PSNRs."""
    interval = mean_interval(new - old)
    outcome = judge(interval, tolerance, floor)
    return Finding(
        check="accuracy",
        subject=subject,
        outcome=outcome,
        unit="dB",
        baseline=_mean_of(old),
        value=_mean_of(new),
        change=_mean_of(new - old),
        low=interval and round(interval.low, 6),
        high=interval and round(interval.high, 6),
        tolerance=tolerance,
        samples=len(new),
        needed=samples_needed(interval, len(new), tolerance) if outcome == "inconclusive" else None,
        note=_why(outcome, interval, tolerance),
    )


def _why(outcome: Outcome, interval: Interval | None, tolerance: float) -> str:
    if interval is None:
        return "too few photos for an interval"
    if outcome == "inconclusive":
        return f"a loss of {tolerance:g} dB is neither shown nor excluded"
    return f"{interval.middle:+.3f} dB in the mean" if outcome in ("regressed", "improved") else ""


def _worst(subject: str, names: Sequence[str], new: np.ndarray, old: np.ndarray, limit: float) -> Finding:
    place = int(np.lexsort((new, new - old))[0])  # of equals the one that is restored worst
    change = round(float(new[place] - old[place]), 4)
    return Finding(
        check="accuracy",
        subject=f"{subject}, worst photo",
        outcome="regressed" if change <= -limit else "pass",
        unit="dB",
        baseline=round(float(old[place]), 4),
        value=round(float(new[place]), 4),
        change=change,
        tolerance=limit,
        samples=len(names),
        note=names[place],
    )


def _decibels(images: Sequence[ImageResult]) -> np.ndarray:
    """f64[n], capped; all of them were measured."""
    return np.array([min(image.psnr, _CAP) for image in images if image.psnr is not None])


def _levels(images: Sequence[DriftResult]) -> np.ndarray:
    """f64[n]: root mean square distance from the golden, rounded to what a run file distinguishes."""
    return np.array([0.0 if d.agreement >= 100 else round(255 * 10 ** (-d.agreement / 20), 4) for d in images])


def _mean_of(values: np.ndarray) -> float:
    return round(float(values.sum() / len(values)), 4)


def _name(image: ImageResult) -> _Name:
    return image.degradation, image.dataset, image.image
