"""A grade, and the findings that it stands on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twinloop.domain.wording import plural
from twinloop.stages.faceless import FINDING, NO_FACES

STOP, LACK, HINT, FINE = "stop", "lack", "hint", "fine"
GRADES = {STOP: "not yet", LACK: "usable", HINT: "ready", FINE: "ready"}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was counted.

    Attributes:
        about: ``photos``, ``angle``, a facet's name, ``faces``, ``shoots``, ``years``, ``origin``, ``duplicates``,
            ``by hand``, `faceless.FINDING`.
        level: ``stop`` (do not train yet), ``lack`` (the LoRA will be weak there), ``hint``, ``fine``.
        text: what is, and what to do. have, of: the counts behind it. low, high: 95 % interval of the share, where one
            is meant.
        add: photos to take.
    """

    about: str
    level: str
    text: str
    have: int
    of: int
    add: int = 0
    low: float | None = None
    high: float | None = None

    def to_json(self) -> dict[str, Any]:
        interval = None if self.low is None or self.high is None else [round(self.low, 3), round(self.high, 3)]
        return {
            "about": self.about,
            "level": self.level,
            "text": self.text,
            "have": self.have,
            "of": self.of,
            "add": self.add,
            "interval": interval,
        }


@dataclass(frozen=True)
class Readiness:
    """The grade (``ready``, ``usable``, ``not yet``) and what it stands on, the weightiest first."""

    grade: str
    photos: int
    findings: tuple[Finding, ...]

    @property
    def weak(self) -> tuple[Finding, ...]:
        """What the grade stands on when it is not the best; hints and what is fine left out."""
        return tuple(finding for finding in self.findings if finding.level in (STOP, LACK))

    @property
    def hints(self) -> tuple[Finding, ...]:
        """What would be better still; no grade is lower for it."""
        return tuple(finding for finding in self.findings if finding.level == HINT)

    @property
    def text(self) -> str:
        """``usable: 12 photos, 2 things to improve, 3 hints``; and what a run needs where no faces were found."""
        parts = [plural(self.photos, "photo")]
        parts += [f"{plural(len(self.weak), 'thing')} to improve"] if self.weak else []
        parts += [plural(len(self.hints), "hint")] if self.hints else []
        bare = next((finding for finding in self.findings if finding.about == FINDING), None)
        need = f"; no face was found in {bare.have} of {bare.of}, so a run needs {NO_FACES}" if bare is not None else ""
        return f"{self.grade}: {', '.join(parts)}{need}"

    def to_json(self) -> dict[str, Any]:
        return {
            "grade": self.grade,
            "photos": self.photos,
            "text": self.text,
            "findings": [finding.to_json() for finding in self.findings],
        }
