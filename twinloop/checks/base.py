"""What a check gets and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from twinloop.domain.facet import Facet
from twinloop.domain.observation import Observation
from twinloop.domain.verdicts import CheckResult, Outcome


@dataclass(frozen=True)
class CheckLimits:
    """Numbers the checks hold images against; see `twinloop.config.ValidationConfig` for meaning and units.

    Attributes:
        real_sharpness: median face sharpness of the real photos; None = not known, then ``blur_threshold`` on the whole
            image decides.
        sharpness_share: least face sharpness, as a share of ``real_sharpness``.
        min_face_quality: for every head angle; None = ``real_face_quality`` decides.
        real_face_quality: head angle -> least and usual face quality, learned from the real photos; of an angle that is
            not there nothing is known.
    """

    blur_threshold: float = 100.0
    min_brightness: float = 30.0
    max_brightness: float = 225.0
    min_face_confidence: float = 0.5
    min_face_quality: float | None = 0.4
    novelty_distance: int = 6
    sharpness: str = "image"
    real_sharpness: float | None = None
    sharpness_share: float = 0.3
    identity_tolerance: float = 2.5
    real_face_quality: Mapping[str, tuple[float, float]] = field(default_factory=dict)


class FrozenIdentity(Protocol):
    """What the identity check asks of the frozen reference."""

    @property
    def highest_pair(self) -> float: ...

    def similarity(self, seen: Observation) -> float | None: ...

    def nearest(self, seen: Observation) -> float | None: ...

    def lower_limit(self, seen: Observation, tolerance: float) -> float: ...


@dataclass(frozen=True)
class CheckContext:
    """One image before its judges.

    Attributes:
        seen: what was observed. facet, value: what was asked for.
        facets: all known facets by name. reference: the frozen identity, or None when there is none.
        others: (name, perceptual hash) of photos and images it must not repeat.
        faceless: the subject has no face, and none was looked for.
    """

    seen: Observation
    facet: str
    value: str
    facets: dict[str, Facet]
    limits: CheckLimits
    reference: FrozenIdentity | None = None
    others: Sequence[tuple[str, str]] = field(default_factory=tuple)
    faceless: bool = False


Check = Callable[[CheckContext], CheckResult | None]


def passed(ok: bool) -> Outcome:
    return Outcome.APPROVED if ok else Outcome.REJECTED
