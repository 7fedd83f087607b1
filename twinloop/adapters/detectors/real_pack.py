"""The detectors for real photos, from whatever usable files a models folder holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import cv2

from twinloop.adapters.detectors.fsanet import FsaNet
from twinloop.adapters.detectors.landmark_pose import LandmarkPose
from twinloop.adapters.detectors.mediapipe_face import MediaPipeFace
from twinloop.adapters.detectors.mediapipe_hands import MediaPipeHands
from twinloop.adapters.detectors.resolver import NEEDS, ModelsReport, Role, missing_line, resolve_models_dir
from twinloop.adapters.detectors.yolov5_face import YoloV5Face
from twinloop.adapters.detectors.yolov8 import PartsAsEyes, YoloV8Parts
from twinloop.adapters.detectors.yunet import YuNet
from twinloop.adapters.embedders.mobilefacenet import MobileFaceNet
from twinloop.errors import MissingModel, ModelFileError, UnsafeModelFile
from twinloop.ports import DetectorPack, FaceDetector, Measurer, PartDetector, PoseEstimator

_T = TypeVar("_T")


class _Opener:
    """Opens the first file that works; keeps the complaints of those that do not. A malicious file always stops everything."""

    def __init__(self) -> None:
        self.complaints: list[str] = []

    def first(self, paths: tuple[Path, ...], make: Callable[[Path], _T]) -> _T | None:
        for path in paths:
            try:
                return make(path)
            except UnsafeModelFile:
                raise
            except ModelFileError as error:
                self.complaints.append(str(error))
        return None


def open_real_pack(folder: Path, threads: int = 1, face_confidence: float | None = None) -> DetectorPack:
    """Detectors for real photos.

    Args:
        folder: where the user's model files lie. threads: per model (for OpenCV: of the whole process).
        face_confidence: least face score; None = each detector's own default.

    Returns:
        A pack whose ``missing`` lists broken files, and what is missing and then not measured.

    Raises:
        InputError: no such folder. MissingModel: no usable face detector. UnsafeModelFile: a file would run code.
    """
    cv2.setNumThreads(threads)  # OpenCV, which runs the face mesh, knows only one number for the whole process
    report, opener = resolve_models_dir(folder), _Opener()
    opener.complaints.extend(report.problems)
    faces = _faces(report, opener, threads, face_confidence)
    if faces is None:
        lines = "\n".join(f"  - {line}" for line in (*opener.complaints, missing_line(NEEDS[0])))
        raise MissingModel(
            f"{folder}: no usable face detector\n{lines}\nOr use the built-in one, made for the drawn faces of the demo: --models-dir nano"
        )
    pose = _pose(report, opener, threads)
    hands = _hands(report, opener, threads)
    measurers = _measurers(report, opener, threads)
    embedder = opener.first(report.usable(Role.EMBEDDER), lambda path: MobileFaceNet(path, threads))
    filled = {
        "faces": True,
        "pose": not isinstance(pose, LandmarkPose),
        "hands": hands is not None,
        "eyes and expression": any("expression" in measurer.covers for measurer in measurers),
        "identity": embedder is not None,
    }
    missing = [missing_line(need) for need in NEEDS if not filled[need.port]]
    return DetectorPack(
        "models",
        faces,
        pose,
        (hands,) if hands is not None else (),
        measurers,
        embedder,
        (*opener.complaints, *missing),
    )


def _faces(report: ModelsReport, opener: _Opener, threads: int, confidence: float | None) -> FaceDetector | None:
    def yolo_face(path: Path) -> FaceDetector:
        return (
            YoloV5Face(path, threads=threads) if confidence is None else YoloV5Face(path, confidence, threads=threads)
        )

    def yunet(path: Path) -> FaceDetector:
        return YuNet(path, threads=threads) if confidence is None else YuNet(path, confidence, threads=threads)

    yolo = report.usable(Role.FACE_YOLO)
    # the half-width nano model is a fallback only: YuNet is faster and finds about as many
    small = tuple(path for path in yolo if "n-0.5" in path.name.lower())
    large = tuple(path for path in yolo if path not in small)
    return (
        opener.first(large, yolo_face)
        or opener.first(report.usable(Role.FACE_YUNET), yunet)
        or opener.first(small, yolo_face)
    )


def _pose(report: ModelsReport, opener: _Opener, threads: int) -> PoseEstimator:
    paths = report.usable(Role.POSE_FSANET)
    if paths:
        made = opener.first(paths[:1], lambda _: FsaNet(paths, threads=threads))
        if made is not None:
            return made
    return LandmarkPose()


def _hands(report: ModelsReport, opener: _Opener, threads: int) -> PartDetector | None:
    hand_files = report.usable(Role.HAND)
    if hand_files:
        made = opener.first(report.usable(Role.PALM), lambda palm: MediaPipeHands(palm, hand_files[0], threads=threads))
        if made is not None:
            return made
    return opener.first(report.usable(Role.HAND_YOLO), lambda path: YoloV8Parts(path, "hand", threads=threads))


def _measurers(report: ModelsReport, opener: _Opener, threads: int) -> tuple[Measurer, ...]:
    mesh = opener.first(report.usable(Role.FACE_TASK), MediaPipeFace)
    if mesh is not None:
        return (mesh,)
    eyes = opener.first(report.usable(Role.EYES_YOLO), lambda path: YoloV8Parts(path, "eye", threads=threads))
    return () if eyes is None else (PartsAsEyes(eyes),)
