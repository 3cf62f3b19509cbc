"""The accuracy that was set out for the default bundle, held against what an accuracy run found."""

from collections.abc import Sequence
from dataclasses import dataclass

from mimdit.benchmarks.accuracy_report import Summary
from mimdit.benchmarks.datasets import CLEAN
from mimdit.benchmarks.methods import AUTO
from mimdit.targets import VARIANTS

__all__ = ["Bar", "bars", "belongs", "dynamic_bar"]

_AT_LEAST: dict[tuple[str, str], float] = {  # dB
    ("noise-15", "clean_cbsd34"): 33.0,
    ("noise-25", "clean_cbsd34"): 30.3,
    ("noise-50", "clean_cbsd34"): 26.8,
    ("haze", "dehaze_reside"): 20.5,
    ("rain", "clean_cbsd34"): 30.0,
}
_ABOVE_INPUT: dict[tuple[str, str], float] = {  # dB
    ("noise", "denoise_real"): 0.4,
    ("jpeg-10", "clean_cbsd34"): 1.4,
    ("blur", "deblur_levin"): 0.5,
}
_ABOVE_PEERS: dict[tuple[str, str], tuple[str, float]] = {  # the peers' common word, dB
    ("noise", "denoise_real"): ("", 0.0),
    ("haze", "dehaze_reside"): ("dark-channel prior", 0.0),
    ("lowlight", "lowlight_real"): ("CLAHE", 5.0),
}
_BELOW_DYNAMIC = 0.05  # dB, of any degradation
_CLEAN_KEPT: dict[str, float] = {  # dB; a photo that is equal to the bit is given 100
    **{variant: 28.0 if variant in ("dehaze", "lowlight") else 38.0 for variant in VARIANTS},
    AUTO: 100.0,
}


@dataclass(frozen=True)
class Bar:
    """One line that was set out: what was wanted and what was found, both in dB."""

    what: str
    wanted: float
    found: float

    @property
    def holds(self) -> bool:
        """Whether it was reached."""
        return self.found >= self.wanted


def bars(summaries: Sequence[Summary], method: str) -> list[Bar]:
    """Every bar whose photos were measured. `method` is the bundle's name in the summaries."""
    ours = {(s.degradation, s.dataset): s for s in summaries if belongs(s, method)}
    rows: list[Bar] = []
    for key, wanted in _AT_LEAST.items():
        if (found := ours.get(key)) and found.restored.psnr is not None:
            rows.append(Bar(f"{key[0]} ({key[1]})", wanted, found.restored.psnr))
    for key, more in _ABOVE_INPUT.items():
        if (found := ours.get(key)) and found.restored.psnr is not None and found.input.psnr is not None:
            rows.append(Bar(f"{key[0]} ({key[1]}), input + {more:g}", found.input.psnr + more, found.restored.psnr))
    for key, (word, more) in _ABOVE_PEERS.items():
        peers = [s for s in summaries if (s.degradation, s.dataset) == key and s.variant is None and word in s.method]
        known = [(s.restored.psnr, s.method) for s in peers if s.restored.psnr is not None]
        if (found := ours.get(key)) and found.restored.psnr is not None and known:
            best, name = max(known)
            above = f"{name} + {more:g}" if more else f"above {name}"
            rows.append(Bar(f"{key[0]} ({key[1]}), {above}", best + more, found.restored.psnr))
    for s in summaries:
        wanted = _CLEAN_KEPT.get(s.variant or "")
        ours_clean = s.method == method and s.degradation == CLEAN
        if ours_clean and wanted is not None and s.restored.psnr is not None:
            rows.append(Bar(f"clean photos ({s.dataset}) through {s.variant}, mean", wanted, s.restored.psnr))
    return rows


def dynamic_bar(summaries: Sequence[Summary], method: str, student: str) -> list[Bar]:
    """How much more the variant that belongs restores than the released dynamic student, where that is least: of single
    degradations, and of mixtures, which are `general`'s.

    Not what freezing alone costs, which docs/routing.md has: the variants were tuned since.
    """
    found: dict[tuple[str, str], dict[str, float]] = {}
    for s in summaries:
        if (s.method == student or belongs(s, method)) and s.restored.psnr is not None:
            found.setdefault((s.degradation, s.dataset), {})[s.method] = s.restored.psnr
    gains = [(both[method] - both[student], *key) for key, both in found.items() if len(both) == 2]
    rows = []
    for what, mixed in (("variant", False), ("general", True)):
        if alike := [gain for gain in gains if ("+" in gain[1]) == mixed]:
            least, degradation, dataset = min(alike)
            name = f"{what} over dynamic student, first photos, least of {len(alike)}: {degradation} ({dataset})"
            rows.append(Bar(name, -_BELOW_DYNAMIC, least))
    return rows


def belongs(summary: Summary, method: str) -> bool:
    """Whether the bundle restored degraded photos by the variant that is made for them: of mixtures `general`."""
    general = "+" in summary.degradation
    return summary.method == method and summary.variant in VARIANTS and (summary.variant == "general") == general
