"""What is to be said of the files of a models folder, once it is known which of them a pack opened."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from twinloop.domain.embedders import embedder_of
from twinloop.domain.model_roles import OTHER_HALF, PACKS, UNREAD_ON_DRAWINGS, WORK, Role
from twinloop.domain.segmenters import segmenter_of
from twinloop.domain.wording import agree
from twinloop.ports import DetectorPack
from twinloop.stages.model_files.check import complaint, danger, is_pickled
from twinloop.stages.model_files.inspect import ENDINGS
from twinloop.store.atomic import sha256_file
from twinloop.store.models.folder import FoundModel, ModelsReport, model_paths


class State(StrEnum):
    """IN_USE: a pack opened it. NOT_NEEDED: recognised, but another file does its work. BROKEN: not what its name says.
    UNSAFE: loading it would act; it was not opened. UNRECOGNISED: no detector goes by this name."""

    IN_USE = "in use"
    NOT_NEEDED = "not opened"
    BROKEN = "broken"
    UNSAFE = "not opened, dangerous"
    UNRECOGNISED = "not recognised"


@dataclass(frozen=True)
class FileState:
    """One file. detail: what it is for, or what is wrong and what to do, as a sentence part."""

    path: Path
    state: State
    detail: str


def file_states(
    report: ModelsReport, opened: Collection[Path], pack: str, made: DetectorPack | None = None
) -> Iterator[FileState]:
    """Every model file of the folder.

    Pickles that no pack opened go through the gate, so that a malicious one is not overlooked.

    Args:
        opened: files that a pack took, which therefore passed the gate. pack: the one that was asked for, a key of
            `PACKS`. made: what it came to; None = nothing.
    """
    roles = {model.path: model for model in report.found}
    for path in model_paths(report.folder, ENDINGS):
        model = roles.get(path)
        if path in opened and model is not None:
            yield FileState(path, State.IN_USE, _told(model))
        elif is_pickled(path) and (why := danger(path)):
            yield FileState(path, State.UNSAFE, why)
        elif problem := (model.problem or "") if model is not None else complaint(path):
            yield FileState(path, State.BROKEN, problem)
        elif model is None:
            yield FileState(
                path, State.UNRECOGNISED, "no detector goes by this name; see docs/model-files.md for the names"
            )
        else:
            yield FileState(path, State.NOT_NEEDED, f"{_told(model)}; {_why_closed(model, report, opened, pack, made)}")


def _told(model: FoundModel) -> str:
    """What a file is, and what its licence keeps people from; of an embedder by its content, where that is known,
    whatever it is called.
    """
    if (network := segmenter_of(model.path.name)) is not None and model.role is Role.SEGMENTER:
        return network.name
    kind = embedder_of(model.path.name, sha256_file(model.path)) if model.role is Role.EMBEDDER else None
    return model.role.value if kind is None else "; ".join(filter(None, (kind.name, kind.notice)))


def _why_closed(
    model: FoundModel, report: ModelsReport, opened: Collection[Path], pack: str, made: DetectorPack | None
) -> str:
    """Why a sound file of a known role was not opened."""
    if model.role is Role.SEGMENTER:
        return "measures nothing; `twinloop masks` takes the finest that can be used"
    if model.role not in PACKS[pack]:
        return f"the pack {pack} does not use it"
    if made is not None and made.faceless:
        return "no face is looked for (validation.faces is false)"
    if made is not None and WORK[model.role] in made.unread:
        return f"expression and eyes are not measured of a drawn character: {UNREAD_ON_DRAWINGS}"
    other, name = OTHER_HALF.get(model.role, (model.role, ""))
    if not report.usable(other):
        return f"it works only together with {name}, which is missing"
    if not opened:
        return "without a face detector none is"
    taken = [found.path.name for found in report.found if found.path in opened and WORK[found.role] == WORK[model.role]]
    work = agree(len(taken), "does its work", "do its work")
    then = "; to use this one, take that out of the folder" if model.role is Role.EMBEDDER else ""
    return f"{' and '.join(taken)} {work}{then}" if taken else "it was tried and cannot be used"
