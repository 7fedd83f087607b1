"""The measurements behind the fixed numbers of the real detectors: crop margin, search size, border for dark lenses.

python bench/real_detector_choices.py FIXTURES
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from fixture_folder import fixtures_of
from real_detectors import BORDER, Portrait, cmu, largest, line, pictures, read, share

from twinloop.adapters.detectors.fsanet import FsaNet
from twinloop.adapters.detectors.imaging import resize
from twinloop.adapters.detectors.mediapipe_face import MediaPipeFace
from twinloop.adapters.detectors.sunglasses import EyeLight, eye_light
from twinloop.adapters.detectors.yolov5_face import YoloV5Face
from twinloop.adapters.detectors.yunet import YuNet
from twinloop.domain.faces import Face, ImageArray


def margins(portraits: list[Portrait], nets: tuple[Path, ...]) -> None:
    """How loose FSA-Net's crop has to be."""
    turned = [p for p in portraits if p.side in ("left", "right") and p.face is not None]
    for margin in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
        net, right = FsaNet(nets, margin), 0
        for portrait in turned:
            pose = None if portrait.face is None else net.pose(portrait.image, portrait.face)
            sign = -1.0 if portrait.side == "left" else 1.0
            right += pose is not None and pose.yaw * sign > BORDER
        share(
            f"fsanet, margin {margin:.1f}: turned to the right side", right, len(turned), "turned portraits with a face"
        )


def search_sizes(portraits: list[Portrait], detector: YoloV5Face) -> None:
    """How far a 64 px portrait may be blown up."""
    for side in (320, 640):
        found = 0
        for portrait in portraits:
            scale = side / max(portrait.image.shape[:2])
            larger = resize(
                portrait.image, round(portrait.image.shape[1] * scale), round(portrait.image.shape[0] * scale)
            )
            found += bool(detector.detect(larger))
        share(f"yolov5n-0.5, portraits searched at {side} px", found, len(portraits), "portraits")


def lens_borders(portraits: list[Portrait], photos: Path, mesh: MediaPipeFace, faces: YuNet) -> None:
    """Grey of the eye region, and of its brightest part between the lids, over skin: with and without dark lenses, and
    on ordinary photos.
    """
    for eyes in ("eyes", "sunglasses"):
        found = [
            light_of(portrait.image, portrait.face, mesh)
            for portrait in portraits
            if portrait.side == "forward" and portrait.eyes == eyes
        ]
        told(f"eyes over skin, {eyes}", [light for light in found if light is not None], "forward portraits")
    ordinary = []
    for path in (*pictures(photos), *sorted((photos / "lfw").glob("*/*.jpg"))):
        image = read(path)
        light = light_of(image, largest(faces.detect(image)), mesh)
        ordinary += [] if light is None else [light]
    told("eyes over skin, ordinary photos", ordinary, "photos, a few with dark lenses among them")


def light_of(image: ImageArray, face: Face | None, mesh: MediaPipeFace) -> EyeLight | None:
    fitted = None if face is None else mesh.mesh(image, face)
    return None if fitted is None or fitted.presence < 0.5 else eye_light(image, fitted.points)


def told(name: str, lights: list[EyeLight], counted: str) -> None:
    for part in ("region", "white"):
        values = [getattr(light, part) for light in lights]
        low, early, most = np.quantile(values, [0.0, 0.05, 1.0])
        line(f"{name}: {part}", f"{low:.2f}, 5 % below {early:.2f}, .. {most:.2f}", f"{len(values)} {counted}")


def main(fixtures: Path) -> None:
    cv2.setNumThreads(1)
    weights, photos = fixtures / "weights", fixtures / "photos"
    yunet = YuNet(weights / "yunet/face_detection_yunet_2026may.onnx")
    portraits = cmu(photos, yunet)
    margins(portraits, tuple(sorted((weights / "headpose").glob("*.onnx"))))
    search_sizes(portraits, YoloV5Face(weights / "yolov5_face/yolov5n-0.5-face.pt"))
    mesh = MediaPipeFace(weights / "mediapipe_face/face_landmarker_v2_with_blendshapes.task")
    lens_borders(portraits, photos, mesh, yunet)


if __name__ == "__main__":
    main(fixtures_of(__doc__))
