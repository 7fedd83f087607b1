"""What a scan measured with, in its fingerprint: whether two of them measured the same, and what differs in words."""

from __future__ import annotations

import re

_HANDS = re.compile(r"\+(?:mediapipe-hands|yolov8-hand|hands-)[^+]*")
"""Earlier scans named the detector of hands, too, which none of them asked."""


def scan_fingerprint(version: str, pixels: str, min_face: int, detectors: str) -> str:
    """Of all that measures.

    ``version``: of the scan; ``pixels``: of the measures without a model; ``detectors``: of the pack, or ``-``.
    """
    return f"{version}|{pixels}|face>={min_face}|{detectors}"


def same_measures(one: str, other: str) -> bool:
    """Whether two scans of these fingerprints measured the same."""
    return _HANDS.sub("", one) == _HANDS.sub("", other)


def difference(before: str, now: str) -> str:
    """How the scan before was made, in words, as the end of "The last scan was made with"; "" where both measured the
    same.
    """
    if same_measures(before, now):
        return ""
    (*program, face, detectors), (*program_now, face_now, detectors_now) = before.split("|", 3), now.split("|", 3)
    reasons = []
    if not same_measures(detectors, detectors_now):
        reasons.append("other models or an older version of this program")
    elif program != program_now:
        reasons.append("an older version of this program")
    if face != face_now:
        pixels, pixels_now = (text.removeprefix("face>=") for text in (face, face_now))
        reasons.append(f"another smallest face ({pixels} pixels, now {pixels_now})")
    return " and ".join(reasons)
