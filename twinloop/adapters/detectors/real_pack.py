"""The detectors for real photos, from whatever usable files a models folder holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import cv2

from twinloop.adapters.detectors.blaze_face import BlazeFace
from twinloop.adapters.detectors.face_quality import EDifFiqa
from twinloop.adapters.detectors.fsanet import FsaNet
from twinloop.adapters.detectors.landmark_pose import LandmarkPose
from twinloop.adapters.detectors.mediapipe_face import MediaPipeFace
from twinloop.adapters.detectors.mediapipe_hands import MediaPipeHands
from twinloop.adapters.detectors.place_tags import PlaceTags
from twinloop.adapters.detectors.yolov5_face import YoloV5Face
from twinloop.adapters.detectors.yolov8 import PartsAsEyes, YoloV8Parts
from twinloop.adapters.detectors.yunet import YuNet
from twinloop.adapters.embedders.aligned_face import AlignedFaceEmbedder
from twinloop.domain.model_roles import AUTO, NEEDS, PACKS, TAGGER_FILES, Need, Role, files_hint, missing_line
from twinloop.errors import InputError, MissingModel, ModelFileError, UnsafeModelFile
from twinloop.ports import DetectorPack, FaceDetector, FilledPort, Measurer, PartDetector, PoseEstimator
from twinloop.ports.detectors import BEST_OF_FOLDER
from twinloop.store.models.folder import ModelsReport, resolve_models_dir

_T = TypeVar("_T")


_WORDS = {Role.PALM: "MediaPipe hands", Role.FACE_TASK: "MediaPipe face"}
"""Roles that fill a port only together with others, as the whole is called."""


class _Opener:
    """Opens the first file that works, and notes it; keeps the complaints of those that do not.

    A malicious file always stops everything.
    """

    def __init__(self, report: ModelsReport) -> None:
        self.report = report
        self.complaints: list[str] = list(report.problems)
        self.choices: list[FilledPort] = []

    def open(
        self, ports: tuple[str, ...], role: Role, make: Callable[[Path], _T], beside: tuple[Path, ...] = ()
    ) -> _T | None:
        """Fill ``ports`` from a file of ``role``; ``beside`` are further files that it needs."""
        return self.first(ports, role, self.report.usable(role), make, beside)

    def first(
        self,
        ports: tuple[str, ...],
        role: Role,
        paths: tuple[Path, ...],
        make: Callable[[Path], _T],
        beside: tuple[Path, ...] = (),
    ) -> _T | None:
        """As `open`, from given files."""
        for path in paths:
            try:
                made = make(path)
            except UnsafeModelFile:
                raise
            except ModelFileError as error:
                self.complaints.append(str(error))
            else:
                self.choices += [FilledPort(port, _WORDS.get(role, role), (path, *beside)) for port in ports]
                return made
        return None


def open_real_pack(folder: Path, name: str, *, scanning: bool, faceless: bool) -> DetectorPack:
    """Detectors for real photos.

    Args:
        folder: where the user's model files lie. name: a key of `PACKS`; ``auto`` takes the best of all that is there.
        scanning: for a scan of very many photos, which does without the slow measurers; they are not opened.
        faceless: of a subject without a face; whatever looks at faces and hands is not opened.

    Returns:
        A pack whose ``choices`` say what was taken, whose ``missing`` lists broken files, and what is missing and then
        not measured, and whose ``optional`` what more could be measured.

    Raises:
        InputError: no such folder or pack. MissingModel: no usable face detector. UnsafeModelFile: a file would run
            code.
    """
    if name not in PACKS:
        raise InputError(
            f"Unknown pack '{name}'. Known: {', '.join(PACKS)}, and models_dir: nano for the embedded one."
        )
    cv2.setNumThreads(1)  # as onnxruntime; OpenCV, which runs the face mesh, knows one number for the whole process
    opener = _Opener(resolve_models_dir(folder).within(PACKS[name]))
    if faceless:
        return DetectorPack(_PACK_NAME[name], slow=_slow(opener), choices=tuple(opener.choices), faceless=True)
    faces = _faces(opener)
    if faces is None:
        raise MissingModel(_no_faces(folder, name, opener))
    pose = _pose(opener)
    hands = _hands(opener)
    measurers = _measurers(opener)
    embedder = _embedder(opener)
    slow = () if scanning else _slow(opener)
    unfilled = _unfilled(opener.choices, scanning)
    missing = (*opener.complaints, *(missing_line(need) for need in unfilled if not need.optional))
    optional = tuple(missing_line(need) for need in unfilled if need.optional)
    parts = () if hands is None else (hands,)
    return DetectorPack(
        _PACK_NAME[name], faces, pose, parts, measurers, embedder, missing, tuple(opener.choices), slow=slow,
        optional=optional,
    )  # fmt: skip


_PACK_NAME = {name: BEST_OF_FOLDER if name == AUTO else name for name in PACKS}
"""The name is part of the fingerprints in people's catalogues."""


def _no_faces(folder: Path, name: str, opener: _Opener) -> str:
    lines = "\n".join(f"  - {line}" for line in (*opener.complaints, missing_line(NEEDS[0])))
    asked = "" if name == AUTO else f" for the pack {name}"
    return (
        f"{folder}: no usable face detector{asked}\n{lines}\n{files_hint(folder)}\n"
        "The built-in one is only for the people that the demo draws, not for photos and not for anime:"
        " --models-dir nano"
    )


def _unfilled(choices: list[FilledPort], scanning: bool) -> list[Need]:
    """All needs that no file fills; head pose from landmarks is coarse, and said so. A scan needs no setting."""
    filled = {choice.port for choice in choices if choice.files} | ({"setting"} if scanning else set())
    if "expression" in filled:
        filled.add("eyes and expression")
    return [need for need in NEEDS if need.port not in filled]


def _faces(opener: _Opener) -> FaceDetector | None:
    yolo, port = opener.report.usable(Role.FACE_YOLO), ("faces",)
    # the half-width nano model is a fallback only: YuNet is faster and finds about as many
    small = tuple(path for path in yolo if "n-0.5" in path.name.lower())
    large = tuple(path for path in yolo if path not in small)
    return (
        opener.first(port, Role.FACE_YOLO, large, YoloV5Face)
        or opener.open(port, Role.FACE_YUNET, YuNet)
        or opener.first(port, Role.FACE_YOLO, small, YoloV5Face)
        or opener.open(port, Role.FACE_TASK, lambda path: BlazeFace(path, MediaPipeFace(path)))  # portraits only
    )


def _pose(opener: _Opener) -> PoseEstimator:
    paths = opener.report.usable(Role.POSE_FSANET)
    made = opener.first(("head pose",), Role.POSE_FSANET, paths[:1], lambda _: FsaNet(paths), paths[1:])
    if made is not None:
        return made
    opener.choices.append(FilledPort("head pose", "the face's five landmarks"))
    return LandmarkPose()


def _hands(opener: _Opener) -> PartDetector | None:
    port, hand_files = ("hands",), opener.report.usable(Role.HAND)[:1]
    if hand_files:
        made = opener.open(port, Role.PALM, lambda palm: MediaPipeHands(palm, hand_files[0]), hand_files)
        if made is not None:
            return made
    return opener.open(port, Role.HAND_YOLO, lambda path: YoloV8Parts(path, "hand"))


def _embedder(opener: _Opener) -> AlignedFaceEmbedder | None:
    """Called by what its file turned out to be, not by its name."""
    made = opener.open(("identity",), Role.EMBEDDER, AlignedFaceEmbedder)
    if made is not None:
        opener.choices[-1] = replace(opener.choices[-1], what=made.kind.name)
    return made


def _measurers(opener: _Opener) -> tuple[Measurer, ...]:
    eyes = _eyes(opener)
    quality = opener.open(("face quality",), Role.FACE_QUALITY, EDifFiqa)
    return tuple(measurer for measurer in (eyes, quality) if measurer is not None)


def _eyes(opener: _Opener) -> Measurer | None:
    mesh = opener.open(("eyes", "expression"), Role.FACE_TASK, MediaPipeFace)
    if mesh is not None:
        return mesh
    eyes = opener.open(("eyes",), Role.EYES_YOLO, lambda path: YoloV8Parts(path, "eye"))
    return None if eyes is None else PartsAsEyes(eyes)


def _slow(opener: _Opener) -> tuple[Measurer, ...]:
    for path in opener.report.usable(Role.TAGGER):
        table = path.with_name(TAGGER_FILES[1])
        made = opener.first(("setting",), Role.TAGGER, (path,), lambda one: PlaceTags(one.parent), (table,))
        if made is not None:
            return (made,)
    return ()
