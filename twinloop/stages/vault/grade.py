"""A grade, and the findings that it stands on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

STOP, LACK, HINT, FINE = "stop", "lack", "hint", "fine"
GRADES = {STOP: "not yet", LACK: "usable", HINT: "ready", FINE: "ready"}


@dataclass(frozen=True)
class Finding:
    """One thing that was counted.

    Attributes:
        about: ``photos``, ``angle``, a facet's name, ``faces``, ``shoots``, ``origin``.
        level: ``stop`` (do not train yet), ``lack`` (the LoRA will be weak there), ``hint``, ``fine``.
        text: what is, and what to do. have, of: the counts behind it. low, high: 95 % interval of the share, where one is meant.
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
    def text(self) -> str:
        weak = [finding for finding in self.findings if finding.level in (STOP, LACK)]
        return f"{self.grade}: {self.photos} photos" + (
            f", {len(weak)} thing{'s' if len(weak) > 1 else ''} to improve" if weak else ", nothing lacks"
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "grade": self.grade,
            "photos": self.photos,
            "text": self.text,
            "findings": [finding.to_json() for finding in self.findings],
        }
