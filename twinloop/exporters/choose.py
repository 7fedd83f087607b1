"""Choose: the best photo for a slot.

The least weight of remarks first, then real before synthetic, then the higher score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twinloop.domain.model_roles import UNREAD_ON_DRAWINGS
from twinloop.domain.wording import plural
from twinloop.exporters.candidates import Candidate, Candidates
from twinloop.exporters.head import Window
from twinloop.exporters.slots import Slot
from twinloop.exporters.wishes import NOTE, SPOILT

WEIGHTS: Mapping[str, float] = {
    "fit": 3.0,
    "inside": 2.0,
    "resolution": 1.0,
    "sharpness": 1.0,
    "quality": 1.0,
    "likeness": 1.0,
}
"""What counts how much in a score; what was not measured does not count."""
MOSTLY_INSIDE = 0.8
"""Share of the window that a photo should hold."""


@dataclass(frozen=True, eq=False)
class Choice:
    """A photo in a slot.

    Attributes:
        parts: of the score, each 0..1. remarks: sentences for people. weight: of all remarks together.
        spoilt: one of them makes the picture useless for its place while there is another.
    """

    slot: Slot
    candidate: Candidate
    score: float
    parts: Mapping[str, float]
    remarks: tuple[str, ...]
    weight: int
    spoilt: bool


@dataclass(frozen=True)
class Missing:
    """A slot that no photo fits, and why."""

    slot: Slot
    why: str


@dataclass(frozen=True)
class Policy:
    """How to choose.

    Attributes:
        prefer_real: real photos go first among equally good ones.
        head_pixels: `Head.size` from which on more pixels are no gain.
        window: that will be cut, so that photos go first which hold all of it; None = one that stays inside of any
            photo.
    """

    prefer_real: bool
    head_pixels: float
    window: Window | None

    def inside(self, candidate: Candidate) -> float | None:
        """Share of the window that the photo holds."""
        if self.window is None:
            return None
        return self.window.share_inside(candidate.head, candidate.seen.width, candidate.seen.height)


def ranked(slot: Slot, candidates: Sequence[Candidate], policy: Policy) -> list[Choice]:
    """Every photo that may stand in the slot, best first; ties fall by content, so that the order of files does not
    matter.
    """
    highest = max((c.likeness for c in candidates if c.likeness is not None), default=0.0)
    choices = [_judged(slot, c, policy, highest) for c in candidates if slot.admits(c)]
    return sorted(
        choices,
        key=lambda c: (
            c.weight, policy.prefer_real and not c.candidate.real, -round(c.score, 6), c.candidate.seen.sha256,
        ),
    )  # fmt: skip


def choose(slot: Slot, candidates: Candidates, policy: Policy) -> Choice | Missing:
    """The best photo for the slot, or what is missing."""
    found = ranked(slot, candidates.items, policy)
    return found[0] if found else Missing(slot, why_missing(slot, candidates))


def why_missing(slot: Slot, candidates: Candidates) -> str:
    """ "Nothing fits" and "nobody looked" are different things."""
    items = candidates.items
    if items and all(slot.admits(c) is None for c in items):
        if slot.needs & candidates.unread:
            return (
                f"not measured of a drawn character: {UNREAD_ON_DRAWINGS}. To measure it all the same, name the facets"
                " (expression, composition for the eyes) in analysis.facets of the configuration"
            )
        return "not measured on any photo: no detector for it (twinloop doctor says which file is missing)"
    others = f" ({len(candidates.left_out)} of {candidates.looked_at} were left out)" if candidates.left_out else ""
    return f"none of {plural(len(items), 'usable photo')} shows it{others}"


def _judged(slot: Slot, candidate: Candidate, policy: Policy, highest: float) -> Choice:
    inside = policy.inside(candidate)
    measured = {
        "fit": slot.fit(candidate),
        "inside": inside,
        "resolution": candidate.head.size / policy.head_pixels,
        "sharpness": candidate.sharpness,
        "quality": candidate.seen.measure("face_quality"),
        "likeness": None if candidate.likeness is None or highest <= 0 else candidate.likeness / highest,
    }
    parts = {name: min(max(value, 0.0), 1.0) for name, value in measured.items() if value is not None}
    score = sum(WEIGHTS[name] * value for name, value in parts.items()) / sum(WEIGHTS[name] for name in parts)
    broken = [(text, wish.weight) for wish in slot.wishes if (text := wish.says(candidate))]
    if inside is not None and inside < MOSTLY_INSIDE:
        broken.append((f"a close-up: {100 * (1 - inside):.0f}% of the picture lies outside of the photo", NOTE))
    weights = [weight for _, weight in broken]
    return Choice(slot, candidate, score, parts, tuple(text for text, _ in broken), sum(weights), SPOILT in weights)
