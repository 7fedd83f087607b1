"""Neither black nor burnt out."""

from __future__ import annotations

from dataclasses import dataclass

from twinloop.checks.base import CheckContext, passed
from twinloop.domain.verdicts import CheckResult


@dataclass(frozen=True)
class Brightness:
    """Mean grey within limits. Where low or high key was asked for, the limit on that side gives way by ``room``."""

    room: float = 18.0

    def __call__(self, context: CheckContext) -> CheckResult | None:
        value = context.seen.measures["brightness"]
        low = context.limits.min_brightness - (self.room if context.value == "low_key" else 0.0)
        high = context.limits.max_brightness + (self.room if context.value == "high_key" else 0.0)
        reason = f"too dark ({value:.0f})" if value < low else f"too bright ({value:.0f})" if value > high else ""
        return CheckResult(
            "brightness",
            passed(not reason),
            round(value, 2),
            f"{low:g}-{high:g}",
            reason,
            score=1.0 if not reason else 0.0,
        )
