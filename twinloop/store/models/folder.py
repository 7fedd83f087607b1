"""What lies in a models folder: which file has which role, and what is broken. Opens no model."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from twinloop.domain import segmenters
from twinloop.domain.embedders import preference
from twinloop.domain.known_models import UNSEEN
from twinloop.domain.model_roles import NEEDS, Role, files_hint, role_at, role_of
from twinloop.errors import InputError, ModelFileError
from twinloop.store.models.content import Content, complaint, sniff
from twinloop.system import shell

_DEPTH = 3
_CONTENTS = {
    ".onnx": Content.ONNX, ".task": Content.TASK, ".tflite": Content.TFLITE, ".safetensors": Content.SAFETENSORS,
}  # fmt: skip
_SUFFIXES = frozenset({".onnx", ".pt", ".pth", ".pkl", ".task", ".tflite", ".safetensors"})


@dataclass(frozen=True)
class FoundModel:
    """One file of the folder.

    Attributes:
        problem: why it cannot be used, and what to do, as a part of a sentence that names it, or None.
    """

    path: Path
    role: Role
    problem: str | None = None


@dataclass(frozen=True)
class ModelsReport:
    """What a models folder holds. ``found`` are all recognised files, usable ones first within a role, best first."""

    folder: Path
    found: tuple[FoundModel, ...]

    def usable(self, role: Role) -> tuple[Path, ...]:
        """Files of one role that passed the content check."""
        return tuple(model.path for model in self.found if model.role is role and model.problem is None)

    def within(self, roles: Collection[Role]) -> ModelsReport:
        """The same folder, files of other roles left aside."""
        return ModelsReport(self.folder, tuple(model for model in self.found if model.role in roles))

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for every broken file."""
        return tuple(f"{model.path.name}: {model.problem}." for model in self.found if model.problem is not None)


def resolve_models_dir(folder: Path) -> ModelsReport:
    """Look through ``folder`` (three levels deep), by file name and by content. Opens no model.

    Raises:
        InputError: the folder does not exist, or is a file.
    """
    check_no_file(folder)
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such models folder. {files_hint(folder)} At least a face detector is needed: {NEEDS[0].get}."
            " Photos apart, the drawn people of the demo need no files: --models-dir nano."
        )
    found = [_recognise(path) for path in model_paths(folder)]
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


def check_no_file(folder: Path) -> None:
    """Raises InputError: a file is named where a folder of them is wanted."""
    if folder.is_file():
        raise InputError(
            f"{folder} is a file. Name the folder it lies in: --models-dir {shell.quote(str(folder.parent))}"
        )


def model_paths(folder: Path, also: Collection[str] = ()) -> list[Path]:
    """All files that models come as, three levels deep, in order of name.

    Args:
        also: further endings, in lower case.
    """
    endings = _SUFFIXES.union(also)
    paths = (path for path in folder.rglob("*") if path.suffix.lower() in endings)
    return sorted(path for path in paths if path.is_file() and len(path.relative_to(folder).parts) <= _DEPTH)


def _recognise(path: Path) -> FoundModel | None:
    role = role_at(path)
    return None if role is None else FoundModel(path, role, problem_of(path))


def problem_of(path: Path) -> str | None:
    """Why a model file cannot be what its ending says, and what to do, as a part of a sentence that names it; None when
    it may be.
    """
    wanted = _CONTENTS.get(path.suffix.lower(), Content.TORCH)
    problem = complaint(path, wanted)
    if problem is not None and wanted is Content.TORCH:
        with contextlib.suppress(ModelFileError):  # unreadable, as the complaint says
            if sniff(path) is Content.PICKLE:
                return None  # read safely and refused by name when it is opened
    return problem


def _preference(path: Path) -> tuple[int, ...]:
    """Larger YOLOv5-face models first; a checkpoint before its export.

    Of YuNet's files one that was tried here before those that were not. Embedders as `domain.embedders` puts them,
    networks for masks as `domain.segmenters` does for photos.
    """
    name = path.name.lower()
    role = role_of(name)
    if role is Role.EMBEDDER:
        return (preference(name),)
    if role is Role.SEGMENTER:
        return segmenters.preference(name)
    if role is Role.FACE_YUNET:
        return (int(name in UNSEEN),)
    size = re.search(r"yolov?5([nsmlx])", name)
    rank = "xlmsn".index(size.group(1)) if size else 0
    return (2 * rank + (path.suffix.lower() == ".onnx"),)
