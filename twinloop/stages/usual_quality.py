"""Face quality on a scale without a limit of its own: how the person's real photos do on it, by head angle.

A score of how well a face can be recognised falls as the head turns. So a made face is held against real ones of its
own angle alone, and where the photos do not show that angle often enough, nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from twinloop.domain.faces import HeadPose
from twinloop.domain.observation import Observation
from twinloop.facets.face_angle import VALUES, angle_of

FEWEST = 5
"""Real photos of an angle from which on its usual quality is known."""
TOLERANCE = 2.5
"""Standard deviations that a made face may score below the real ones of its angle; as many as for likeness."""
LEAST_SPREAD = 0.02
"""Photos of one camera and one hour differ less than any generator can follow."""
_SMALLEST = 1e-3


@dataclass(frozen=True)
class UsualQuality:
    """What real photos score.

    Attributes:
        bands: head angle -> (mean, standard deviation, n); angles that no photo shows are not there.
    """

    bands: Mapping[str, tuple[float, float, int]] = field(default_factory=dict)

    @property
    def limits(self) -> dict[str, tuple[float, float]]:
        """Head angle -> least quality of a made face, and what is usual, both 0..1.

        An angle with too few photos has those of the next one that is turned further and has enough: that asks for
        less. One without such has none.
        """
        found: dict[str, tuple[float, float]] = {}
        for turn, angle in enumerate(VALUES):
            band = next((b for further in VALUES[turn:] if (b := self._known(further)) is not None), None)
            if band is not None:
                found[angle] = max(0.0, band[0] - TOLERANCE * max(band[1], LEAST_SPREAD)), band[0]
        return found

    @property
    def complete(self) -> bool:
        """Whether any face can be held against real ones of its angle, so that LoRAs that turn heads more or less often
        compare.
        """
        return all(self._known(angle) is not None for angle in VALUES)

    def share(self, quality: float, pose: HeadPose | None) -> float:
        """A quality as a share of what is usual at that angle, at most 1; where the angle cannot be told, of the
        lowest. Asks for `complete`.
        """
        usual = {angle: self.bands[angle][0] for angle in VALUES}
        expected = min(usual.values()) if pose is None else usual[angle_of(pose.yaw)]
        return min(1.0, quality / max(expected, _SMALLEST))

    def _known(self, angle: str) -> tuple[float, float, int] | None:
        band = self.bands.get(angle)
        return band if band is not None and band[2] >= FEWEST else None


def usual_quality(photos: Iterable[Observation]) -> UsualQuality:
    """Learn it from real photos; those whose quality or pose was not measured say nothing."""
    scores: dict[str, list[float]] = {}
    for photo in photos:
        quality = photo.measure("face_quality")
        if quality is not None and photo.pose is not None:
            scores.setdefault(angle_of(photo.pose.yaw), []).append(quality)
    bands = {angle: (float(np.mean(row)), float(np.std(row)), len(row)) for angle, row in sorted(scores.items())}
    return UsualQuality(bands)
