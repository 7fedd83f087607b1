"""A folder becomes a dataset: all its photos, and what is marked as made among them (approved images that the user put
there by hand) within the caps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from twinloop.domain.captions import with_trigger
from twinloop.domain.observation import Observation
from twinloop.domain.records import Dataset, Member
from twinloop.stages.merge import MergeLimits, most_synthetic, weighted
from twinloop.stages.select import Photos, Reading, look_without_detectors
from twinloop.stages.selection_rules import Photo
from twinloop.store.pictures.dataset_folders import DatasetFolders
from twinloop.store.pictures.sidecar import caption_beside
from twinloop.store.run.workspace import shown_path

TOO_MANY_MADE = "a generated image more than merge.max_synthetic_share allows"

Captioner = Callable[[Observation], str]
"""Words for a picture that has none of its own."""


@dataclass(frozen=True)
class FirstDataset:
    """What of a folder is learned.

    Attributes:
        left_out: (path, reason) of the pictures that the dataset does without: those that the rules left out, and made
            ones that are too many; paths as `shown_path` has them.
        uncaptioned: paths of the members that have no words of their own.
    """

    photos: Photos
    dataset: Dataset
    left_out: tuple[tuple[str, str], ...]
    uncaptioned: tuple[str, ...]


def first_dataset(
    photos: Photos,
    trigger: str,
    caption: Captioner,
    limits: MergeLimits,
    *,
    held_out: frozenset[str],
    made_in: int,
) -> FirstDataset:
    """The dataset of a folder that was looked at.

    A photo's own words are those that lie beside it or are its folder's, with the trigger, should it lack.

    Args:
        caption: for photos without words of their own; the trigger is in it.
        held_out: hashes of photos of weight 0: they are never trained on, because LoRAs are measured against them.
        made_in: the round that the made ones are counted to; 0 = before the first.
    """
    usable = photos.selection.photos
    own = {shown_path(photo.path): _own_words(photo, photos.folders) for photo in usable}
    members = []
    for photo, (path, words) in zip(usable, own.items(), strict=True):
        members.append(
            Member(
                path=path,
                sha256=photo.seen.sha256,
                caption=caption(photo.seen) if words is None else with_trigger(words, trigger),
                origin=photo.seen.origin,
                round=0 if photo.seen.origin == "real" else made_in,
                weight=0.0 if photo.seen.sha256 in held_out else photos.folders.weight_of(photo.path),
            )
        )
    dataset = within_caps(Dataset(tuple(members)), limits, made_in)
    used = {member.path for member in dataset.members}
    left_out = [(shown_path(path), reason) for path, reason in photos.selection.left_out]
    left_out += [(path, TOO_MANY_MADE) for path in own if path not in used]
    bare = tuple(path for path, words in own.items() if words is None and path in used)
    return FirstDataset(photos, dataset, tuple(left_out), bare)


def from_folder(folder: Path, reading: Reading, trigger: str, bare: str, limits: MergeLimits) -> FirstDataset:
    """The dataset of a folder at which no detector looks.

    Args:
        reading: as in `select.look_without_detectors`. bare: the caption of pictures without words of their own.

    Raises:
        InputError: no such folder.
    """
    photos = look_without_detectors(folder, reading)
    return first_dataset(photos, trigger, lambda seen: bare, limits, held_out=frozenset(), made_in=0)


def within_caps(dataset: Dataset, limits: MergeLimits, iteration: int) -> Dataset:
    """A folder's members without the made ones that are too many, and with the others' weights."""
    kept = {member.path for member in dataset.synthetic[: most_synthetic(dataset, limits.max_share)]}
    members = tuple(member for member in dataset.members if member.origin == "real" or member.path in kept)
    return weighted(Dataset(members), iteration, limits)


def _own_words(photo: Photo, folders: DatasetFolders) -> str | None:
    return caption_beside(photo.path) or folders.words_of(photo.path)
