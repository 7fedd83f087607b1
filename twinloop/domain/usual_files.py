"""The three YOLO files that guides to this loop name, where they come from, and what else does their work."""

from __future__ import annotations

from dataclasses import dataclass

from twinloop.domain.model_roles import Role


@dataclass(frozen=True)
class UsualFile:
    """One file.

    Attributes:
        name: as the guides call it. role: how it is read. source: where it comes from, one or two sentences; none of
            them is fetched by this program. licence: of the file.
        others: roles that do its work as well, the best first; of each set all are needed.
        get: what brings one of these.
    """

    name: str
    role: Role
    source: str
    licence: str
    others: tuple[frozenset[Role], ...]
    get: str


USUAL_FILES = (
    UsualFile(
        "yolov5l-face.pt",
        Role.FACE_YOLO,
        "From deepcam-cn/yolov5-face; its README links the files.",
        "GPL-3.0",
        (frozenset({Role.FACE_YUNET}), frozenset({Role.FACE_TASK})),
        "a YuNet file (face_detection_yunet_*.onnx)",
    ),
    UsualFile(
        "hand_yolov8n.pt",
        Role.HAND_YOLO,
        "From Bingsu/adetailer on Hugging Face.",
        "its page says Apache-2.0, Ultralytics says AGPL-3.0",
        (frozenset({Role.PALM, Role.HAND}),),
        "palm_detection_lite.onnx with hand_landmark_lite.onnx",
    ),
    UsualFile(
        "eyes_yolov.pt",
        Role.EYES_YOLO,
        "Optional. No public file of exactly this name is known; any YOLO eye detector works under it.",
        "as its author says",
        (frozenset({Role.FACE_TASK}),),
        "face_landmarker_v2_with_blendshapes.task",
    ),
)
