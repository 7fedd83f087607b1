"""Is it the same person?"""

from __future__ import annotations

from dataclasses import dataclass

from twinloop.checks.base import CheckContext, passed
from twinloop.domain.verdicts import CheckResult, Outcome


@dataclass(frozen=True)
class Identity:
    """Similarity to the frozen real photos, with a limit learned from them per head angle.

    Left out when the run has no reference.
    """

    def __call__(self, context: CheckContext) -> CheckResult | None:
        if context.reference is None:
            return None
        similarity = context.reference.similarity(context.seen)
        if similarity is None:
            return CheckResult(
                "identity", Outcome.UNSURE, None, "similar to the real photos", "identity could not be measured"
            )
        limit = context.reference.lower_limit(context.seen, context.limits.identity_tolerance)
        ok = similarity >= limit
        reason = (
            ""
            if ok
            else f"not enough like the person ({similarity:.2f}; learned from the photos: at least {limit:.2f})"
        )
        return CheckResult(
            "identity",
            passed(ok),
            round(similarity, 4),
            f">= {limit:.2f}",
            reason,
            score=max(0.0, min(1.0, similarity)),
        )
