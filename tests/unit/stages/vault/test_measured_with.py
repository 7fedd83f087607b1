"""Fingerprints of scans: what measured the same, and what differs in words."""

from __future__ import annotations

import pytest

from twinloop.stages.vault.measured_with import difference, same_measures, scan_fingerprint

DETECTORS = "models+yunet1-aa-0.6+landmark-pose1+mediapipe-face3-bb+mobilefacenet1-cc"
NOW = scan_fingerprint("scan-1", "pixels-1", 40, DETECTORS)


@pytest.mark.parametrize(
    "hands", ["mediapipe-hands1-dd-ee-0.5-0.5", "yolov8-hand2-ff-0.4-640", "hands-nano-whole2-aa-0.5"]
)
def test_detectors_of_hands_measure_nothing_in_a_scan(hands: str) -> None:
    older = NOW.replace("+mediapipe-face", f"+{hands}+mediapipe-face")
    assert older != NOW and same_measures(older, NOW) and difference(older, NOW) == ""


def test_eyes_from_an_eye_detector_are_measured() -> None:
    assert not same_measures(NOW, NOW.replace("mediapipe-face3-bb", "parts-as-eyes3-yolov8-eye2-ff-0.4-640"))


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (("scan-1", "pixels-1", 60, DETECTORS), "another smallest face (60 pixels, now 40)"),
        (("scan-1", "pixels-0", 40, DETECTORS), "an older version of this program"),
        (("scan-0", "pixels-1", 40, "-"), "other models or an older version of this program"),
        (
            ("scan-1", "pixels-1", 60, DETECTORS.replace("cc", "dd")),
            "other models or an older version of this program and another smallest face (60 pixels, now 40)",
        ),
    ],
)
def test_what_differs_is_said_and_nothing_else(before: tuple[str, str, int, str], said: str) -> None:
    assert difference(scan_fingerprint(*before), NOW) == said
    assert difference(NOW, NOW) == ""
