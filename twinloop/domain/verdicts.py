"""What the checks say of one synthetic image."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from twinloop.domain.json_fields import entry, entry_or, list_of, number, optional, text


class Outcome(StrEnum):
    """Result of one check, and of all of them together. Unsure is never silently approved."""

    APPROVED = "approved"
    REJECTED = "rejected"
    UNSURE = "unsure"


@dataclass(frozen=True)
class CheckResult:
    """One check of one image.

    Attributes:
        name: of the check. outcome: what this check alone says.
        value: what was measured (a number, or a facet value). limit: what was asked, readable (">= 0.5", "profile").
        reason: one sentence for people.
        score: 0..1, how well it did, for the quality score; None = says yes or no, or could not be measured.
    """

    name: str
    outcome: Outcome
    value: float | str | None
    limit: str
    reason: str = ""
    score: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "check": self.name, "outcome": str(self.outcome), "value": self.value, "limit": self.limit,
            "reason": self.reason, "score": self.score,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Any) -> CheckResult:
        """Raises ValueError where it is no result of a check; names the field."""
        return cls(
            entry(data, "check", text),
            entry(data, "outcome", Outcome),
            entry(data, "value", optional(_measured)),
            str(entry(data, "limit", _measured)),
            entry(data, "reason", text),
            entry(data, "score", optional(number)),
        )


def _measured(value: Any) -> float | str:
    # a check of one's own may answer yes or no
    return value if isinstance(value, str | bool) else number(value)


@dataclass(frozen=True)
class Verdict:
    """All check results of one image: rejected if any check rejects, else unsure if any is unsure or nothing was
    checked, else approved.

    Attributes:
        human: what a person said; it is stronger than the checks, which stay on record.
        early: share of the denoising steps after which the image was given up, judged by a preview: there is no image.
            None = it was finished.
    """

    image: str
    sha256: str
    facet: str
    value: str
    results: tuple[CheckResult, ...]
    human: Outcome | None = None
    early: float | None = None

    @property
    def outcome(self) -> Outcome:
        return self.automatic if self.human is None else self.human

    @property
    def automatic(self) -> Outcome:
        """What the checks alone say."""
        outcomes = {result.outcome for result in self.results}
        for outcome in (Outcome.REJECTED, Outcome.UNSURE):
            if outcome in outcomes:
                return outcome
        return Outcome.APPROVED if self.results else Outcome.UNSURE

    @property
    def quality(self) -> float:
        """Mean of the scores of the checks that give one, 0..1; 0 when none does.

        A check without a score says yes or no (there is a face, it is no copy): where it says no, there is nothing to
        be good at, and it is 0.
        """
        if any(result.score is None and result.outcome is Outcome.REJECTED for result in self.results):
            return 0.0
        scores = [result.score for result in self.results if result.score is not None]
        return sum(scores) / len(scores) if scores else 0.0

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not approved."""
        return tuple(r.reason or r.name for r in self.results if r.outcome is not Outcome.APPROVED)

    def to_json(self) -> dict[str, Any]:
        return {
            "image": self.image,
            "sha256": self.sha256,
            "type": self.facet,
            "target": self.value,
            "outcome": str(self.outcome),
            "quality": round(self.quality, 4),
            "checks": [r.to_json() for r in self.results],
            **({} if self.human is None else {"human": str(self.human), "automatic": str(self.automatic)}),
            **({} if self.early is None else {"rejected_early": self.early}),
        }

    @classmethod
    def from_json(cls, data: Any) -> Verdict:
        """Outcome and quality follow from the checks.

        Raises ValueError where it is no verdict; names the field.
        """
        return cls(
            entry(data, "image", text),
            entry(data, "sha256", text),
            entry(data, "type", text),
            entry(data, "target", text),
            entry(data, "checks", list_of(CheckResult.from_json)),
            entry_or(data, "human", Outcome, None),
            entry_or(data, "rejected_early", number, None),
        )
