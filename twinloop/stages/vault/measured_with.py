"""What a scan measured with, in its fingerprint, and what differs between two of them in words."""

from __future__ import annotations


def scan_fingerprint(version: str, pixels: str, min_face: int, detectors: str) -> str:
    """Of all that measures.

    ``version``: of the scan; ``pixels``: of the measures without a model; ``detectors``: of the pack, or ``-``.
    """
    return f"{version}|{pixels}|face>={min_face}|{detectors}"


def difference(before: str, now: str) -> str:
    """How the scan before was made, in words, as the end of "The last scan was made with"; "" where both measured the
    same.
    """
    if before == now:
        return ""
    (*program, face, detectors), (*program_now, face_now, detectors_now) = before.split("|", 3), now.split("|", 3)
    reasons = []
    if detectors != detectors_now:
        reasons.append("other models or an older version of this program")
    elif program != program_now:
        reasons.append("an older version of this program")
    if face != face_now:
        pixels, pixels_now = (text.removeprefix("face>=") for text in (face, face_now))
        reasons.append(f"another smallest face ({pixels} pixels, now {pixels_now})")
    return " and ".join(reasons)
