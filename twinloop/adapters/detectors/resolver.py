"""What lies in a models folder: which file fills which port, what is broken, what is missing and what then stays unmeasured."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from twinloop.adapters.detectors.model_files import Content, complaint
from twinloop.errors import InputError, ModelFileError

_DEPTH = 3
_SUFFIXES = frozenset({".onnx", ".pt", ".pth", ".pkl", ".task", ".tflite", ".safetensors"})


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
    EMBEDDER = "MobileFaceNet"


_TORCH_OR_ONNX = (Content.TORCH, Content.ONNX)
#: Name pattern (lower case) -> role and the contents it may have. The first that fits counts.
_NAMES: tuple[tuple[str, Role, tuple[Content, ...]], ...] = (
    (r"yunet.*\.onnx$", Role.FACE_YUNET, (Content.ONNX,)),
    (r"yolov?5.*\.(pt|pth|pkl|onnx)$", Role.FACE_YOLO, _TORCH_OR_ONNX),
    (r"fsa-?net.*\.onnx$", Role.POSE_FSANET, (Content.ONNX,)),
    (r"palm.*\.onnx$", Role.PALM, (Content.ONNX,)),
    (r"hand_?(landmark|pose).*\.onnx$", Role.HAND, (Content.ONNX,)),
    (r"hands?_?yolo.*\.(pt|pth|pkl|onnx)$", Role.HAND_YOLO, _TORCH_OR_ONNX),
    (r"eyes?_.*\.(pt|pth|pkl|onnx)$", Role.EYES_YOLO, _TORCH_OR_ONNX),
    (r"face_landmarker.*\.task$", Role.FACE_TASK, (Content.TASK,)),
    (r"mobile_?face_?net.*\.onnx$", Role.EMBEDDER, (Content.ONNX,)),
)


@dataclass(frozen=True)
class FoundModel:
    """One file of the folder.

    Attributes:
        problem: why it cannot be used (one sentence that says what to do), or None.
    """

    path: Path
    role: Role
    problem: str | None = None


@dataclass(frozen=True)
class Need:
    """One thing the product can measure, and what brings it.

    Attributes:
        port: ``faces``, ``pose``, ``hands``, ``eyes and expression``, ``identity``.
        choices: alternatives; each is a set of roles that must all be there.
        get: names and homes of files that fill it. without: what is then not measured.
    """

    port: str
    choices: tuple[frozenset[Role], ...]
    get: str
    without: str


NEEDS = (
    Need(
        "faces", (frozenset({Role.FACE_YOLO}), frozenset({Role.FACE_YUNET})),
        "yolov5l-face.pt (deepcam-cn/yolov5-face) or face_detection_yunet_*.onnx (opencv/opencv_zoo)",
        "nothing can be measured without a face detector",
    ),
    Need(
        "pose", (frozenset({Role.POSE_FSANET}),),
        "fsanet-1x1-iter-688590.onnx and fsanet-var-iter-688590.onnx (omasaht/headpose-fsanet-pytorch)",
        "face_angle is taken from the face detector's five landmarks, which is coarser",
    ),
    Need(
        "hands", (frozenset({Role.PALM, Role.HAND}), frozenset({Role.HAND_YOLO})),
        "palm_detection_*.onnx and hand_landmark_*.onnx (MediaPipe hands), or a YOLOv8 hand detector as .onnx",
        "composition: hands_visible is not measured",
    ),
    Need(
        "eyes and expression", (frozenset({Role.FACE_TASK}),),
        "face_landmarker_v2_with_blendshapes.task (MediaPipe face landmarker)",
        "expression is not measured, and composition: eyes_visible only with an eye detector (eyes_*.onnx)",
    ),
    Need(
        "identity", (frozenset({Role.EMBEDDER}),),
        "MobileFaceNet.onnx (foamliu/MobileFaceNet)",
        "identity is not measured: no clustering by person, no identity check of synthetic images",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class ModelsReport:
    """What a models folder holds. ``found`` are all recognised files, usable ones first within a role, best first."""

    folder: Path
    found: tuple[FoundModel, ...]

    def usable(self, role: Role) -> tuple[Path, ...]:
        """Files of one role that passed the content check."""
        return tuple(model.path for model in self.found if model.role is role and model.problem is None)

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for every broken file."""
        return tuple(model.problem for model in self.found if model.problem is not None)

    @property
    def missing(self) -> tuple[str, ...]:
        """One line for every need that no file fills, with where to get one and what stays unmeasured."""
        have = {model.role for model in self.found if model.problem is None}
        return tuple(missing_line(need) for need in NEEDS if not any(choice <= have for choice in need.choices))


def missing_line(need: Need) -> str:
    """The line for a need that is not filled."""
    return f"{need.port}: no model. {need.without[0].upper()}{need.without[1:]}. Get {need.get}."


def resolve_models_dir(folder: Path) -> ModelsReport:
    """Look through ``folder`` (three levels deep), by file name and by content. Opens no model.

    Raises:
        InputError: the folder does not exist.
    """
    if not folder.is_dir():
        lines = "\n".join(f"  - {missing_line(need)}" for need in NEEDS)
        raise InputError(
            f"{folder}: no such models folder. Make it and put your detector files there, or use models_dir: nano (--models-dir nano).\n{lines}"
        )
    found = [_recognise(path) for path in _files(folder)]
    known = [model for model in found if model is not None]
    known.sort(
        key=lambda model: (
            model.role,
            model.problem is not None,
            _preference(model.path),
            model.path.as_posix(),
        )
    )
    return ModelsReport(folder, tuple(known))


def _files(folder: Path) -> list[Path]:
    paths = (path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    return sorted(path for path in paths if path.is_file() and len(path.relative_to(folder).parts) <= _DEPTH)


def _recognise(path: Path) -> FoundModel | None:
    name = path.name.lower()
    known = next(((role, contents) for pattern, role, contents in _NAMES if re.search(pattern, name)), None)
    if known is None:
        return None
    role, contents = known
    wanted = Content.ONNX if path.suffix.lower() == ".onnx" else contents[0]
    try:
        problem = complaint(path, wanted)
    except ModelFileError as error:
        problem = str(error)
    if problem is not None and wanted is Content.TORCH and "found pickle" in problem:
        problem = None  # read safely and refused by name when it is opened
    return FoundModel(path, role, problem)


def _preference(path: Path) -> int:
    """Larger YOLOv5-face models first; a checkpoint before its export."""
    name = path.name.lower()
    size = re.search(r"yolov?5([nsmlx])", name)
    rank = "xlmsn".index(size.group(1)) if size else 0
    return 2 * rank + (path.suffix.lower() == ".onnx")
