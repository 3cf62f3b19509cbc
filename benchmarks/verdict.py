"""What the gate answers: a finding for every figure it looked at, and one word for all of them."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mimdit.benchmarks.gate_statistics import Outcome
from mimdit.benchmarks.headline import Headline

__all__ = ["CHECKS", "Check", "Finding", "Stage", "Verdict", "exit_code", "overall"]

Check = Literal["accuracy", "drift", "size", "latency", "memory", "energy", "defects", "contents"]
# Where a fault was made, in the order in which a bundle comes to be and is used: routing plan, 8-bit scales, model
# files, the order of colours, the runtime's arithmetic, the tiler.
Stage = Literal["freeze", "quantize", "export", "colour", "run", "tile"]

CHECKS: tuple[Check, ...] = ("accuracy", "drift", "size", "latency", "memory", "energy", "defects", "contents")

_EXIT_CODES: dict[Outcome, int] = {"pass": 0, "improved": 0, "regressed": 1, "inconclusive": 3}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Finding(_Frozen):
    """One figure, before and now. Differences are signed so that more is better; null is unknown."""

    check: Check
    subject: str = Field(description="what was measured: a degradation, a model, a file")
    outcome: Outcome | None = Field(description="null: reported, not gated")
    unit: str
    baseline: float | None = None
    value: float | None = None
    change: float | None = Field(default=None, description="better is positive; in `unit`, or in % where it says so")
    low: float | None = Field(default=None, description="the 99.9 % interval of the change")
    high: float | None = None
    tolerance: float | None = Field(default=None, description="the smallest change that matters")
    samples: int | None = None
    needed: int | None = Field(default=None, description="samples that would settle an inconclusive figure")
    stage: Stage | None = Field(default=None, description="where the fault was made, as far as the evidence goes")
    note: str = Field(default="", description="why, in a sentence")


class Verdict(_Frozen):
    """A whole answer: the same two files give the same verdict, to the byte."""

    schema_version: Literal[1] = 1
    headlines: tuple[Headline, ...] = Field(description="the device against the reference, each bundle of the run")
    outcome: Outcome
    baseline: str = Field(description="what the run was held to")
    run: str
    measured: str = Field(description="when the run was: UTC, ISO 8601")
    findings: tuple[Finding, ...]
    facts: dict[str, str] = Field(default={}, description="circumstances of the run: device, versions, threads")

    def of(self, outcome: Outcome | None) -> tuple[Finding, ...]:
        """The findings of one outcome, in their order."""
        return tuple(finding for finding in self.findings if finding.outcome == outcome)

    @property
    def sentence(self) -> str:
        """The verdict in one line, with the next step."""
        named = ", ".join(f"{finding.check} of {finding.subject}" for finding in self.of(self.outcome)[:3])
        more = len(self.of(self.outcome)) - 3
        named += f" and {more} more" if more > 0 else ""
        if self.outcome == "regressed":
            return f"regressed: {named}"
        if self.outcome == "inconclusive":
            counts = [finding.needed for finding in self.of("inconclusive") if finding.needed]
            return (
                f"inconclusive: {named}; {max(counts)} samples would settle it" if counts else f"inconclusive: {named}"
            )
        if self.outcome == "improved":
            return f"improved: {named}; record a new baseline, so that the gain is kept"
        return f"pass: {len(self.of('pass'))} figures held"


def overall(findings: Sequence[Finding]) -> Outcome:
    """The worst outcome counts; where nothing at all could be gated there is no verdict."""
    found = {finding.outcome for finding in findings}
    for outcome in ("regressed", "inconclusive", "improved", "pass"):
        if outcome in found:
            return outcome
    return "inconclusive"


def exit_code(verdict: Verdict) -> int:
    """0 passed or improved, 1 regressed, 3 inconclusive."""
    return _EXIT_CODES[verdict.outcome]
