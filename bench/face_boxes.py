"""How large each face detector draws its boxes, beside YuNet's: the factors that bring them to one convention.

    python bench/face_boxes.py FIXTURES

One line per detector and kind of pose, of the boxes as `detect` returns them, so near 1.00 once the factors are right.
Photos are read in place.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from fixture_folder import fixtures_of
from real_detectors import largest, read

from twinloop.adapters.detectors.blaze_face import BlazeFace
from twinloop.adapters.detectors.fsanet import FsaNet
from twinloop.adapters.detectors.mediapipe_face import MediaPipeFace
from twinloop.adapters.detectors.yolov5_face import YoloV5Face
from twinloop.adapters.detectors.yunet import YuNet
from twinloop.domain.faces import Box, Face
from twinloop.facets.face_angle import angle_of
from twinloop.ports import FaceDetector

SETS = ("caltech_faces_easy", "cmu_faces", "human_samples", "lfw", "orl_att")
SAME = 0.3
"""Intersection over union from which two boxes are one face."""


def compared(ruler: Box, other: Box) -> tuple[float, float, float, float]:
    """Height and width over the ruler's; how much lower top and bottom lie, in heights of the ruler."""
    tall = ruler.height
    return other.height / tall, other.width / ruler.width, (other.y0 - ruler.y0) / tall, (other.y1 - ruler.y1) / tall


def main(fixtures: Path) -> None:
    cv2.setNumThreads(1)
    weights = fixtures / "weights"
    task = weights / "mediapipe_face/face_landmarker_v2_with_blendshapes.task"
    ruler = YuNet(weights / "yunet/face_detection_yunet_2026may.onnx")
    pose = FsaNet(tuple(sorted((weights / "headpose").glob("*.onnx"))))
    others: dict[str, FaceDetector] = {
        "yolov5n-0.5-face": YoloV5Face(weights / "yolov5_face/yolov5n-0.5-face.pt"),
        "blazeface + mesh": BlazeFace(task, MediaPipeFace(task)),
    }
    rows: dict[tuple[str, str], list[tuple[float, float, float, float]]] = {}
    for path in (p for name in SETS for p in sorted((fixtures / "photos" / name).rglob("*.*")) if p.suffix != ".md"):
        if path.suffix.lower() not in (".jpg", ".png", ".pgm"):
            continue
        image = read(path)
        face = largest(ruler.detect(image))
        if face is None:
            continue
        turned = pose.pose(image, face)
        for name, detector in others.items():
            near: Face | None = max(detector.detect(image), key=lambda f: f.box.iou(face.box), default=None)
            if near is not None and near.box.iou(face.box) >= SAME:
                for kind in ("all", "not measured" if turned is None else angle_of(turned.yaw)):
                    rows.setdefault((name, kind), []).append(compared(face.box, near.box))
    for (name, kind), found in sorted(rows.items()):
        height, width, top, bottom = np.median(found, axis=0)
        low, high = np.quantile([row[0] for row in found], (0.1, 0.9))
        print(
            f"{name:<18} {kind:<14} height {height:.3f} [{low:.3f}, {high:.3f}]  width {width:.3f}  "
            f"top {top:+.3f}  bottom {bottom:+.3f}  {len(found)} faces"
        )


if __name__ == "__main__":
    main(fixtures_of(__doc__))
