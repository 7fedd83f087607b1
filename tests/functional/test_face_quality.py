"""A detector of face quality among real ones: its limits come from the person's own photos, by head angle, unless one
is named.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.functional.console import ROOT, twinloop
from tests.unit.adapters.detectors.onnx_files import quality_onnx

FIXTURES = ROOT.parent / "shared" / "fixtures"
PORTRAITS = FIXTURES / "photos" / "cmu_faces" / "png"
FILES = (
    "yunet/face_detection_yunet_2026may.onnx",
    "headpose/fsanet-1x1-iter-688590.onnx",
    "headpose/fsanet-var-iter-688590.onnx",
    "mobilefacenet/MobileFaceNet.onnx",
)

pytestmark = pytest.mark.skipif(
    not FIXTURES.is_dir(), reason="shared fixtures are not on this machine (looked for ../shared/fixtures)"
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Models, photos of one man, and two pictures of another to be judged."""
    monkeypatch.chdir(tmp_path)
    for name in ("models", "photos", "made"):
        Path(name).mkdir()
    for name in FILES:
        shutil.copy(FIXTURES / "weights" / name, "models")
    for path in sorted(PORTRAITS.glob("alex_*.png")):
        shutil.copy(path, "photos")
    for side in ("forward", "left"):
        shutil.copy(PORTRAITS / f"bob_{side}_neutral_eyes.png", "made")
    return tmp_path


def judged(capsys: pytest.CaptureFixture[str], *flags: object) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The limits, and the check of face quality of each picture that has one."""
    said = twinloop(capsys, "validate", "made", "--reference", "photos", "--json", *flags)
    assert said.code == 0, said.err
    checks = [c for verdict in said.data["verdicts"] for c in verdict["checks"] if c["check"] == "face_quality"]
    return said.data["limits"], checks


def test_limits_are_learned_by_angle_or_named_and_without_a_measure_there_is_no_check(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert judged(capsys)[1] == []
    Path("models/ediffiqa_tiny_jun2024.onnx").write_bytes(quality_onnx())
    limits, checks = judged(capsys)
    learned = limits["real_face_quality"]
    assert limits["min_face_quality"] is None and {"front", "profile"} <= learned.keys()
    assert all(0 < least < usual < 1 for least, usual in learned.values()) and learned["front"] != learned["profile"]
    asked = {check["limit"] for check in checks}
    assert len(checks) == 2 and asked <= {f">= {least:.4g}" for least, _ in learned.values()} and len(asked) == 2
    limits, checks = judged(capsys, "--min-face-quality", 0.9)
    assert limits["min_face_quality"] == 0.9 and limits["real_face_quality"] == {}
    assert [check["outcome"] for check in checks] == ["rejected", "rejected"]
