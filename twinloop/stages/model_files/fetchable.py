"""Which known files can be fetched into a models folder, and what there does their work already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from twinloop.domain.known_models import KnownModel
from twinloop.domain.model_roles import OTHER_HALF, WORK, Role, role_of
from twinloop.stages.model_files.shelf import Item
from twinloop.store.models.folder import ModelsReport, resolve_models_dir

_LESS = {(Role.EYES_YOLO, Role.FACE_TASK), (Role.FACE_TASK, Role.FACE_YUNET), (Role.FACE_TASK, Role.FACE_YOLO)}
"""(there, missing): the one does not all that the other would."""


@dataclass(frozen=True)
class Fetchable:
    """One file that is not there and has an address. done_by: a file there that does its work; "" = none."""

    model: KnownModel
    done_by: str


def fetchable(items: Iterable[Item], folder: Path) -> Iterator[Fetchable]:
    """Those of a survey of the folder, in its order. Opens no model."""
    report = resolve_models_dir(folder) if folder.is_dir() else ModelsReport(folder, ())
    for item in items:
        if item.path is None and item.known is not None and item.known.url:
            yield Fetchable(item.known, _done_by(item.known, report))


def _done_by(model: KnownModel, report: ModelsReport) -> str:
    role = role_of(model.name)
    if role is None or role is Role.POSE_FSANET:  # its two files are better than one
        return ""
    there = (
        found
        for found in report.found
        if found.problem is None and WORK[found.role] == WORK[role] and (found.role, role) not in _LESS
    )
    usable = [found for found in there if _is_whole(found.role, role, report)]
    usable.sort(key=lambda found: found.role is not role)  # the same kind of file first
    return usable[0].path.name if usable else ""


def _is_whole(there: Role, missing: Role, report: ModelsReport) -> bool:
    """Whether a file works without the missing one: half of a pair works with its other half only."""
    half = OTHER_HALF.get(there)
    return half is None or (half[0] is not missing and bool(report.usable(half[0])))
