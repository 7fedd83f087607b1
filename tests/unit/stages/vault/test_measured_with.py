"""Fingerprints of scans: what differs in words."""

from __future__ import annotations

import pytest

from twinloop.stages.vault.measured_with import difference, scan_fingerprint

DETECTORS = "models+yunet1-aa-0.6+landmark-pose1+mediapipe-face3-bb+mobilefacenet1-cc"
NOW = scan_fingerprint("scan-1", "pixels-1", 40, DETECTORS)


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
