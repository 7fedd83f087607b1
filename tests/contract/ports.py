"""The detector ports and what fills them, for the contract tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from twinloop.adapters.detectors.mediapipe_face import MediaPipeFace
from twinloop.adapters.detectors.mediapipe_hands import MediaPipeHands
from twinloop.domain.faces import ImageArray
from twinloop.ports import Measurer, PartDetector

Photo = Callable[[str], ImageArray]


PARTS: dict[str, Callable[[Path], PartDetector]] = {
    "mediapipe-hands": lambda w: MediaPipeHands(
        w / "mediapipe_hands/palm_detection_lite_pr_v1.onnx", w / "mediapipe_hands/hand_landmark_lite_pr_v1.onnx"
    ),
}


MEASURERS: dict[str, Callable[[Path], Measurer]] = {
    "mediapipe-face": lambda w: MediaPipeFace(w / "mediapipe_face/face_landmarker_v2_with_blendshapes.task"),
}


NOTHING = np.full((120, 90, 3), 128, dtype=np.uint8)
