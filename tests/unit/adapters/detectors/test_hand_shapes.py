"""The form of hands on photos that nobody here took. Skipped, loudly, where the fixtures are not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.functional.console import ROOT
from tests.helpers.hand_points import open_hand
from twinloop.adapters.detectors.imaging import RotatedCrop
from twinloop.adapters.detectors.mediapipe_hands import MediaPipeHands, _Look
from twinloop.domain.faces import ImageArray, Part
from twinloop.domain.hands import hand_doubt, palm_size

FIXTURES = ROOT / ".." / "shared" / "fixtures"
pytestmark = pytest.mark.skipif(
    not FIXTURES.is_dir(), reason="shared fixtures are not on this machine (looked for ../shared/fixtures)"
)


@pytest.fixture(scope="module")
def detector() -> MediaPipeHands:
    folder = FIXTURES / "weights" / "mediapipe_hands"
    return MediaPipeHands(next(folder.glob("palm*.onnx")), next(folder.glob("hand*.onnx")))


def photos() -> list[ImageArray]:
    found = []
    for path in sorted((FIXTURES / "photos" / "mediapipe_gesture").rglob("*.jpg")):
        with Image.open(Path(path)) as image:
            found.append(np.asarray(ImageOps.exif_transpose(image).convert("RGB")))
    return found


def hands(detector: MediaPipeHands, images: list[ImageArray]) -> list[Part]:
    return [hand for image in images for hand in detector.parts(image, ())]


def test_hands_of_photos_pass_and_melted_ones_mostly_do_not(detector: MediaPipeHands) -> None:
    """The one that does not has about 30 pixels in a dark room; see docs/log.md."""
    images = photos()
    real = hands(detector, images)
    good = [hand for hand in real if not hand_doubt(hand)]
    assert len(real) >= 20 and len(good) >= len(real) - 1
    rng = np.random.default_rng(0)
    spoilt = []
    for image in images:
        waves = [cv2.GaussianBlur(rng.normal(size=image.shape[:2]).astype(np.float32), (0, 0), 5) for _ in range(2)]
        y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
        moved = cv2.remap(
            image, *(at + wave / wave.std() * 4 for at, wave in zip((x, y), waves, strict=True)), cv2.INTER_LINEAR
        )  # type: ignore[call-overload]
        spoilt += hands(detector, [np.asarray(moved, np.uint8)])
    assert sum(not hand_doubt(hand) for hand in spoilt) < len(real) / 3


def test_what_a_hand_carries(detector: MediaPipeHands) -> None:
    """Landmarks lie in the box of the hand, in pixels of the photo; both hands are told apart."""
    for hand in hands(detector, photos()):
        shape = hand.shape
        assert shape is not None and not hand.box_only
        assert shape.landmarks.shape == (21, 2) and shape.landmarks.dtype == np.float32
        middle = shape.landmarks.mean(axis=0)
        assert hand.box.x0 < middle[0] < hand.box.x1 and hand.box.y0 < middle[1] < hand.box.y1
        assert 0 <= shape.presence <= hand.confidence + 1e-6 and shape.spread >= 0


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_further_looks_at_a_hand(detector: MediaPipeHands, scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turned either way, from further away, and mirrored; the least presence counts, and distances are in sizes of the
    palm.
    """
    asked = list[tuple[float, float, bool]]()

    def look(image: ImageArray, crop: RotatedCrop, mirrored: bool = False) -> _Look:
        asked.append((round(crop.angle, 2), crop.side, mirrored))
        return _Look(0.9 - 0.1 * len(asked), 0.5, open_hand(scale) + np.float32(9 * scale if mirrored else 0))

    monkeypatch.setattr(detector, "_look", look)
    shape = detector._shape(
        np.zeros((9, 9, 3), np.uint8), RotatedCrop((0.0, 0.0), 100.0, 0.0), _Look(0.95, 0.99, open_hand(scale))
    )
    assert asked == [(0.35, 100.0, False), (-0.35, 100.0, False), (0.0, 120.0, False), (0.0, 100.0, True)]
    assert shape.presence == pytest.approx(0.5) and shape.handedness == 0.99
    assert shape.spread == pytest.approx(9 * 2**0.5 / 4 / palm_size(open_hand()), rel=1e-4)
    assert MediaPipeHands.forms == "landmarks1", "in catalogues: without it what an older version remembers would count"
