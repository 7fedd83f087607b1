"""The checks of one synthetic image, one small file each, run as a list."""

from __future__ import annotations

from collections.abc import Sequence

from twinloop.checks.base import Check, CheckContext
from twinloop.checks.brightness import Brightness
from twinloop.checks.face import FaceConfidence, FaceQuality, OneFace
from twinloop.checks.hands import Hands
from twinloop.checks.identity import Identity
from twinloop.checks.novelty import Novelty
from twinloop.checks.sharpness import Sharpness
from twinloop.checks.target import OnTarget
from twinloop.domain.verdicts import CheckResult

BUILTIN: tuple[Check, ...] = (
    OnTarget(),
    OneFace(),
    FaceConfidence(),
    FaceQuality(),
    Hands(),
    Sharpness(),
    Brightness(),
    Identity(),
    Novelty(),
)

EARLY: tuple[Check, ...] = (OnTarget(), OneFace(), FaceQuality(share=0.5))
"""Those that a preview of an unfinished image can be trusted with; docs/log.md says how far, and what of the others."""


def run_checks(context: CheckContext, checks: Sequence[Check] = BUILTIN) -> tuple[CheckResult, ...]:
    """Every check's result, in order; a check that does not apply is left out."""
    results = (check(context) for check in checks)
    return tuple(result for result in results if result is not None)
