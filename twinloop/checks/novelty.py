"""Not a copy of a training photo or of another image."""

from __future__ import annotations

from dataclasses import dataclass

from twinloop.checks.base import CheckContext, passed
from twinloop.domain.verdicts import CheckResult


@dataclass(frozen=True)
class Novelty:
    """Perceptual-hash distance to everything known.

    A face closer than any two real photos are to each other needs ``extra`` more bits.
    """

    extra: int = 4

    def __call__(self, context: CheckContext) -> CheckResult | None:
        if not context.others:
            return None
        own = int(context.seen.phash, 16)
        distance, name = min(((own ^ int(other, 16)).bit_count(), name) for name, other in context.others)
        limit = context.limits.novelty_distance
        nearest = context.reference.nearest(context.seen) if context.reference is not None else None
        if context.reference is not None and nearest is not None and nearest > context.reference.highest_pair:
            limit += self.extra
        ok = distance > limit
        return CheckResult(
            "novelty", passed(ok), float(distance), f"> {limit} bits", "" if ok else f"nearly a copy of {name}"
        )
