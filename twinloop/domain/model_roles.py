"""What detector files are for: roles, how their names tell them, what each measurement needs, and the packs they make
up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from twinloop.domain.embedders import embedder_of
from twinloop.domain.segmenters import segmenter_of
from twinloop.system import shell


class Role(StrEnum):
    """What a model file is for. Two-part roles (palm + hand) need both."""

    FACE_YOLO = "YOLOv5-face"
    FACE_YUNET = "YuNet"
    POSE_FSANET = "FSA-Net"
    PALM = "palm detector"
    HAND = "hand landmarks"
    HAND_YOLO = "YOLOv8 hands"
    EYES_YOLO = "YOLOv8 eyes"
    FACE_TASK = "face landmarker"
    EMBEDDER = "face embedder"
    FACE_QUALITY = "eDifFIQA"
    TAGGER = "WD14-type tagger"
    SEGMENTER = "segmentation network"


WORK: Mapping[Role, str] = {
    Role.FACE_YOLO: "faces",
    Role.FACE_YUNET: "faces",
    Role.POSE_FSANET: "head pose",
    Role.PALM: "hands",
    Role.HAND: "hands",
    Role.HAND_YOLO: "hands",
    Role.EYES_YOLO: "eyes",
    Role.FACE_TASK: "eyes",
    Role.EMBEDDER: "identity",
    Role.FACE_QUALITY: "face quality",
    Role.TAGGER: "setting",
    Role.SEGMENTER: "subject masks",
}
"""What a file measures above all: of several with the same work one is opened."""
OTHER_HALF: Mapping[Role, tuple[Role, str]] = {
    Role.PALM: (Role.HAND, "hand_landmark_*.onnx"), Role.HAND: (Role.PALM, "palm_detection_*.onnx"),
}  # fmt: skip
"""Roles that work in pairs, and how the other file is called."""

TAGGER_FILES = ("model.onnx", "selected_tags.csv")
"""A tagger and its table of tags lie side by side; the first name alone tells nothing."""

_TORCH_OR_ONNX = r"\.(pt|pth|pkl|onnx)$"
_NAMES: tuple[tuple[str, Role], ...] = (
    (r"yunet.*\.onnx$", Role.FACE_YUNET),
    (r"hand_?(landmark|pose).*\.onnx$", Role.HAND),
    (rf"hands?[-_]?(yolo|detect).*{_TORCH_OR_ONNX}", Role.HAND_YOLO),
    (rf"(^|[-_])eyes?([-_].*)?{_TORCH_OR_ONNX}", Role.EYES_YOLO),
    (rf"yolov?5.*{_TORCH_OR_ONNX}", Role.FACE_YOLO),
    (r"fsa-?net.*\.onnx$", Role.POSE_FSANET),
    (r"palm.*\.onnx$", Role.PALM),
    (r"face_landmarker.*\.task$", Role.FACE_TASK),
    (r"ediffiqa.*\.onnx$", Role.FACE_QUALITY),
)
"""Name pattern (lower case) -> role. The first that fits counts: a hand detector may be a YOLOv5 too."""


def role_of(name: str) -> Role | None:
    """What a file of this name is for; None when no rule fits."""
    told = next((role for pattern, role in _NAMES if re.search(pattern, name.lower())), None)
    if told is None and segmenter_of(name) is not None:
        return Role.SEGMENTER
    return told or (Role.EMBEDDER if embedder_of(name) is not None else None)


def role_at(path: Path) -> Role | None:
    """As `role_of`, of a file that is there: ``model.onnx`` is a tagger where its table of tags lies beside it."""
    model, table = TAGGER_FILES
    if path.name == model and path.with_name(table).is_file():
        return Role.TAGGER
    return role_of(path.name)


@dataclass(frozen=True)
class Need:
    """One thing the product can measure, and what brings it.

    Attributes:
        port: ``faces``, ``head pose``, ``hands``, ``eyes and expression``, ``face quality``, ``identity``, ``setting``.
        choices: alternatives; each is a set of roles that must all be there.
        get: names and homes of files that fill it. without: what then is, after "so".
        optional: whether everything works without it; then it is not called missing.
    """

    port: str
    choices: tuple[frozenset[Role], ...]
    get: str
    without: str
    optional: bool = False


NEEDS = (
    Need(
        "faces",
        (frozenset({Role.FACE_YOLO}), frozenset({Role.FACE_YUNET}), frozenset({Role.FACE_TASK})),
        "yolov5l-face.pt (deepcam-cn/yolov5-face) or face_detection_yunet_*.onnx (opencv/opencv_zoo)",
        "nothing can be measured",
    ),
    Need(
        "head pose",
        (frozenset({Role.POSE_FSANET}),),
        "fsanet-1x1-iter-688590.onnx and fsanet-var-iter-688590.onnx (omasaht/headpose-fsanet-pytorch)",
        "face_angle is taken from the face detector's five landmarks, which is coarser",
    ),
    Need(
        "hands",
        (frozenset({Role.PALM, Role.HAND}), frozenset({Role.HAND_YOLO})),
        "palm_detection_*.onnx and hand_landmark_*.onnx (MediaPipe hands, google-ai-edge/mediapipe), or a YOLO hand"
        " detector (hand_yolov8n.pt)",
        "composition: hands_visible is not measured",
    ),
    Need(
        "eyes and expression",
        (frozenset({Role.FACE_TASK}),),
        "face_landmarker_v2_with_blendshapes.task (MediaPipe face landmarker, google-ai-edge/mediapipe)",
        "expression is not measured, and composition: eyes_visible only with an eye detector (eyes_*.pt)",
    ),
    Need(
        "face quality",
        (frozenset({Role.FACE_QUALITY}),),
        "ediffiqa_tiny_jun2024.onnx (opencv/opencv_zoo)",
        "face quality is not measured: it is no part of the overall score, and smeared faces are told by their"
        " sharpness and likeness alone",
        optional=True,
    ),
    Need(
        "identity",
        (frozenset({Role.EMBEDDER}),),
        "MobileFaceNet.onnx (foamliu/MobileFaceNet) or face_recognition_sface_2021dec.onnx (opencv/opencv_zoo); ArcFace"
        " files of InsightFace work, too",
        "identity is not measured (no clustering by person, no identity check of synthetic images)",
    ),
    Need(
        "setting",
        (frozenset({Role.TAGGER}),),
        "model.onnx and selected_tags.csv of a WD14-type tagger (SmilingWolf/wd-swinv2-tagger-v3 on huggingface.co)"
        " into a folder wd14 in it",
        "setting (indoors, outdoors, studio, street) is not measured",
        optional=True,
    ),
)


def missing_line(need: Need) -> str:
    """The line for a need that is not filled."""
    return f"{need.port}: no model, so {need.without}. Get {need.get}."


USUAL_PACKS = ("onnx", "mediapipe")
"""Packs whose files together measure all but the setting."""


def files_hint(folder: object) -> str:
    """How detector files come into a folder."""
    at = "" if str(folder) == "models" else f" --models-dir {shell.quote(str(folder))}"
    packs = " ".join(USUAL_PACKS)
    return (
        f"`twinloop models list{at}` shows the files that are known, `twinloop models pull {packs}{at}` fetches"
        f" those that have an address, a face detector among them, `twinloop models add FILE...{at}` takes in your own."
    )


def why_blind(needs: Sequence[str]) -> str:
    """Why nothing can be told, where nobody looked for ``needs`` (names of `Observation.measured`)."""
    return f"no detector for: {', '.join(needs)}"


BLIND_BY_CHOICE = frozenset(why_blind((need.port,)) for need in NEEDS if need.optional)
"""Reasons that name nothing but what is optional."""


UNREAD_ON_DRAWINGS = "these detectors are not made for drawings and take drawn faces for neutral ones with open eyes"
"""Why nothing is told of what is left out for a drawn subject."""
NEEDS_FACE = frozenset({"faces", "pose", "identity", "eyes", "expression", "face_quality", "hands"})
"""Names of `Observation.measured` that are nothing without a face; palms are told from faces by the faces."""


AUTO = "auto"
_ANY = frozenset({Role.TAGGER})
"""Roles that every pack takes."""
PACKS: Mapping[str, frozenset[Role]] = {
    AUTO: frozenset(Role) - {Role.SEGMENTER},
    "yolo": frozenset(
        {Role.FACE_YOLO, Role.HAND_YOLO, Role.EYES_YOLO, Role.POSE_FSANET, Role.FACE_QUALITY, Role.EMBEDDER, *_ANY}
    ),
    "onnx": frozenset(
        {
            Role.FACE_YUNET,
            Role.POSE_FSANET,
            Role.PALM,
            Role.HAND,
            Role.FACE_TASK,
            Role.FACE_QUALITY,
            Role.EMBEDDER,
            *_ANY,
        }
    ),
    "mediapipe": frozenset({Role.FACE_TASK, Role.PALM, Role.HAND, Role.FACE_QUALITY, Role.EMBEDDER, *_ANY}),
}
"""Pack -> the roles it may use. ``auto`` takes the best of all that measure; what makes masks measures nothing."""


def pack_and_folder(models_dir: str) -> tuple[str, str]:
    """``yolo:models`` as the pack and the folder it looks into; ``auto`` where no pack is named."""
    name, colon, folder = models_dir.partition(":")
    return (name, folder) if colon and name in PACKS else (AUTO, models_dir)
