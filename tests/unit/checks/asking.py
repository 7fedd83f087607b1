"""Asking one check about one image."""

from __future__ import annotations

from typing import Any

from twinloop.checks import Check, CheckContext
from twinloop.checks.base import CheckLimits
from twinloop.domain.observation import Observation
from twinloop.domain.verdicts import CheckResult, Outcome
from twinloop.facets import BUILTIN as FACETS


def ask(
    check: Check, seen: Observation, facet: str = "face_angle", value: str = "front", **context: Any
) -> CheckResult | None:
    limits = context.pop("limits", CheckLimits())
    return check(CheckContext(seen, facet, value, {f.name: f for f in FACETS}, limits, **context))


def outcome(check: Check, seen: Observation, *args: Any, **kwargs: Any) -> Outcome | None:
    answer = ask(check, seen, *args, **kwargs)
    assert answer is None or (answer.outcome is Outcome.APPROVED) == (not answer.reason), (
        "what is not approved says why"
    )
    return None if answer is None else answer.outcome
