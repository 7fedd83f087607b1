"""Slots: the named places of a package, and which photo may stand there. Left and right are the viewer's, as yaw is.

``profile_left`` shows a nose that points to the left edge of the picture (yaw < 0; the person's left cheek is seen). No
picture is ever mirrored to fill a place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twinloop.domain.facet import Facet
from twinloop.errors import InputError
from twinloop.exporters import wishes
from twinloop.exporters.candidates import Candidate
from twinloop.exporters.wishes import NOTE, Wish, wish
from twinloop.facets.face_angle import FRONT_BELOW, PROFILE_FROM

UNCERTAIN = 5.0
"""Degrees from a border within which the ruler may be wrong (docs/science.md: 4 to 6 degrees of mean error)."""
LARGEST_YAW = 30.0
"""Degrees to which a head may be turned in a set of expressions: stills of one view go together, others do not."""
_HALF_FIT = 45.0
FIRST = "Best: add a real photo of it to the dataset"


@dataclass(frozen=True)
class Slot:
    """One place.

    Attributes:
        name: in flags, file names and manifests. wanted: in words, for what is missing. remedy: how to get it.
        admits: whether a photo may stand here; None = it cannot be told. fit: 0..1, how well.
        wishes: what is said against one, and how much it weighs.
        needs: names of `Observation.measured` without which it cannot be told, where a drawn character may lack them.
    """

    name: str
    wanted: str
    remedy: str
    admits: Callable[[Candidate], bool | None]
    fit: Callable[[Candidate], float]
    wishes: tuple[Wish, ...]
    needs: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        return self.name.replace("_", " ").capitalize()


@dataclass(frozen=True)
class Angle:
    """A view: |yaw| from ``low`` to below ``high`` degrees, best at ``ideal``; side -1 = the viewer's left, 1 = right,
    0 = either.
    """

    ideal: float
    low: float
    high: float
    side: int
    facet_value: str

    def holds(self, yaw: float) -> bool:
        return self.low <= abs(yaw) < self.high and (self.side == 0 or yaw * self.side > 0)

    def fit(self, yaw: float) -> float:
        return max(0.0, 1.0 - abs(abs(yaw) - self.ideal) / _HALF_FIT)

    @property
    def words(self) -> str:
        way = {-1: " to the viewer's left", 1: " to the viewer's right", 0: " to either side"}[self.side]
        if self.low == 0:
            return f"the head turned by less than {self.high:.0f} degrees"
        upper = f" to {self.high:.0f}" if self.high < 180 else " degrees or more"
        return f"the head turned by {self.low:.0f}{upper}{'' if self.high >= 180 else ' degrees'}{way}"


ANGLES: dict[str, Angle] = {
    "front": Angle(0.0, 0.0, FRONT_BELOW, 0, "front"),
    "left_30": Angle(30.0, 20.0, 40.0, -1, "three_quarter"),
    "right_30": Angle(30.0, 20.0, 40.0, 1, "three_quarter"),
    "three_quarter": Angle(35.0, FRONT_BELOW, PROFILE_FROM, 0, "three_quarter"),
    "three_quarter_left": Angle(35.0, FRONT_BELOW, PROFILE_FROM, -1, "three_quarter"),
    "three_quarter_right": Angle(35.0, FRONT_BELOW, PROFILE_FROM, 1, "three_quarter"),
    "profile": Angle(90.0, PROFILE_FROM, 180.0, 0, "profile"),
    "profile_left": Angle(90.0, PROFILE_FROM, 180.0, -1, "profile"),
    "profile_right": Angle(90.0, PROFILE_FROM, 180.0, 1, "profile"),
}


def angle_slots(names: Sequence[str]) -> tuple[Slot, ...]:
    """Views of a head by name.

    Raises:
        InputError: none, a name twice, or an unknown one; the known ones are listed.
    """
    _check(names, ANGLES, "view")
    return tuple(_angle_slot(name, ANGLES[name]) for name in names)


def _angle_slot(name: str, angle: Angle) -> Slot:
    @wish(NOTE)
    def near_border(candidate: Candidate) -> str:
        yaw = abs(candidate.yaw or 0.0)
        borders = [b for b in (angle.low, angle.high) if 0 < b < 180 and abs(yaw - b) < UNCERTAIN]
        return f"yaw {candidate.yaw:+.0f} is within {UNCERTAIN:.0f} degrees of the view's border" if borders else ""

    return Slot(
        name,
        angle.words,
        f"{FIRST}. A generated one is a guess: python gap_analysis.py DATASET, then generate_synthetic.py "
        f"(face_angle: {angle.facet_value}) and validate_synthetic.py.",
        admits=lambda c: None if c.yaw is None else angle.holds(c.yaw),
        fit=lambda c: 0.0 if c.yaw is None else angle.fit(c.yaw),
        wishes=(
            wishes.neutral,
            wishes.expression_known,
            wishes.mouth_closed,
            wishes.eyes_open,
            wishes.straight,
            wishes.no_hands,
            wishes.alone,
            near_border,
        ),
    )


def expression_slots(names: Sequence[str], facet: Facet) -> tuple[Slot, ...]:
    """Expressions by the values of a facet.

    Raises:
        InputError: none, a name twice, or a value that the facet does not have.
    """
    _check(names, facet.values, "expression")
    return tuple(_expression_slot(name, facet) for name in names)


def _expression_slot(name: str, facet: Facet) -> Slot:
    def admits(candidate: Candidate) -> bool | None:
        reading = facet.classify(candidate.seen)
        turned = candidate.yaw is not None and abs(candidate.yaw) > LARGEST_YAW
        return None if not reading.measured else name in reading.present and not turned

    def fit(candidate: Candidate) -> float:
        sure = candidate.seen.measure(f"{facet.name}.{name}")
        facing = 1.0 - abs(candidate.yaw or 0.0) / _HALF_FIT
        return facing if sure is None else (sure + facing) / 2

    return Slot(
        name,
        f"expression {name}, the head turned by {LARGEST_YAW:.0f} degrees at most",
        f"{FIRST}. A generated one is a guess: python gap_analysis.py DATASET, then generate_synthetic.py "
        f"({facet.name}: {name}) and validate_synthetic.py.",
        admits=admits,
        fit=fit,
        wishes=(wishes.pose_known, wishes.eyes_open, wishes.straight, wishes.no_hands, wishes.alone),
        needs=frozenset(facet.needs),
    )


def _check(names: Sequence[str], known: Sequence[str] | dict[str, Angle], kind: str) -> None:
    unknown = [name for name in names if name not in known]
    if not names or unknown or len(set(names)) < len(names):
        told = f"unknown {kind} {', '.join(map(repr, unknown))}" if unknown else f"name each {kind} once"
        raise InputError(f"{told[0].upper()}{told[1:]}. Known: {', '.join(known)}.")
