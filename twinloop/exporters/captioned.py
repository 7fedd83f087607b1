"""A dataset with its captions, as it goes to another trainer."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from twinloop.domain.records import Dataset, Member
from twinloop.domain.vault import NOT_RECORDED
from twinloop.errors import NothingToDo
from twinloop.exporters.run_dataset import members_of, recorded_consent
from twinloop.stages.first_dataset import from_folder
from twinloop.stages.merge import MergeLimits
from twinloop.stages.select import Reading
from twinloop.store.run.workspace import shown_path


@dataclass(frozen=True)
class Wanted:
    """What a folder of photos becomes.

    Attributes:
        trigger: in every caption. limits: of made images that were copied into the folder.
        reading: as in `select.look_without_detectors`. tags: captions are lists of tags.
    """

    trigger: str
    limits: MergeLimits
    reading: Reading
    tags: bool

    @property
    def bare(self) -> str:
        """The caption of a picture without one."""
        return self.trigger if self.tags else f"photo of {self.trigger}"


@dataclass(frozen=True)
class CaptionedDataset:
    """A dataset as found.

    ``root``: folder of its photos. ``made``: paths of synthetic images. ``uncaptioned``: how many pictures have the
    caption ``bare``, for want of one. ``left_out``: (file, reason). ``consent``: what was recorded of it. ``remarks``:
    how its folders and captions were understood.
    """

    name: str
    root: Path
    dataset: Dataset
    made: frozenset[Path]
    left_out: tuple[tuple[str, str], ...]
    uncaptioned: int = 0
    bare: str = ""
    consent: str = NOT_RECORDED.text
    remarks: tuple[str, ...] = ()

    @property
    def pictures(self) -> int:
        """Those that are learned."""
        return sum(member.weight > 0 for member in self.dataset.members)


def gather_captioned(dataset: Path, wanted: Wanted) -> CaptionedDataset:
    """Photos of a folder with the captions beside them, or the members of a dataset_iterN.json with caption and weight.

    Captions and weights are those of a training by this program.

    Raises:
        InputError: no such folder, or no dataset of a run. NothingToDo: no picture.
    """
    gathered = _of_run(dataset) if dataset.suffix == ".json" else _of_folder(dataset, wanted)
    if not gathered.pictures:
        told = "; ".join(f"{name}: {reason}" for name, reason in gathered.left_out[:3]) or "it holds no image"
        raise NothingToDo(f"No picture to export in {dataset} ({told}).")
    return gathered


def _of_run(record: Path) -> CaptionedDataset:
    members = members_of(record)
    return CaptionedDataset(
        name=record.stem,
        root=root_of(members) if members else record.parent,
        dataset=Dataset(members),
        made=frozenset(Path(member.path) for member in members if member.origin != "real"),
        left_out=tuple((Path(member.path).name, "weight 0") for member in members if member.weight <= 0),
        consent=recorded_consent(record).text,
    )


def root_of(members: Sequence[Member]) -> Path:
    """The folder in which all photos of a run lie, as far as their paths tell it."""
    photos: Iterable[Member] = [member for member in members if member.origin == "real"] or members
    return Path(os.path.commonpath([str(Path(member.path).absolute().parent) for member in photos]))


def _of_folder(folder: Path, wanted: Wanted) -> CaptionedDataset:
    first = from_folder(folder, wanted.reading, wanted.trigger, wanted.bare, wanted.limits)
    made = [seen.path for seen in first.photos.found if seen.observation and seen.observation.origin != "real"]
    return CaptionedDataset(
        name=folder.resolve().name,
        root=folder,
        dataset=first.dataset,
        made=frozenset(Path(shown_path(path)) for path in made),
        left_out=tuple((Path(path).name, reason) for path, reason in first.left_out),
        uncaptioned=len(first.uncaptioned),
        bare=wanted.bare,
        consent=recorded_consent(folder).text,
        remarks=first.photos.folders.remarks(wanted.reading.prior),
    )
