"""Merge: approved images join the dataset, within caps; the real photos always stay. A change makes a new dataset."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from twinloop.domain.captions import with_trigger
from twinloop.domain.facet import Facet
from twinloop.domain.records import Dataset, Member
from twinloop.domain.shots import Gap
from twinloop.stages import words
from twinloop.stages.select import Photo
from twinloop.stages.validate import Judged
from twinloop.store.pictures.dataset_folders import PHOTOS_ONLY, DatasetFolders
from twinloop.store.pictures.sidecar import caption_beside
from twinloop.store.run.workspace import shown_path


@dataclass(frozen=True)
class MergeLimits:
    """Caps on what was made.

    Attributes:
        max_share: synthetic images of all images. ratio: total real weight over total synthetic weight, at least.
        decay: weight of a synthetic round, per round of age.
    """

    max_share: float = 0.5
    ratio: float = 1.3
    decay: float = 0.7


def first_dataset(
    photos: Sequence[Photo],
    facets: Sequence[Facet],
    trigger: str,
    style: str,
    limits: MergeLimits,
    held_out: frozenset[str] = frozenset(),
    made_in: int = 0,
    class_word: str = "",
    folders: DatasetFolders = PHOTOS_ONLY,
) -> Dataset:
    """The dataset of a folder: all photos, and what is marked as made among them (approved images that the user put
    there by hand) within the caps.

    Args:
        held_out: hashes of photos of weight 0: they are never trained on, because LoRAs are measured against them.
        made_in: the round that the made ones are counted to; 0 = before the first.
        folders: what the names of folders say: weights, and captions of photos that have none beside them.
    """
    members = [
        Member(
            path=shown_path(photo.path),
            sha256=photo.seen.sha256,
            caption=_caption(photo, facets, trigger, style, class_word, folders),
            origin=photo.seen.origin,
            round=0 if photo.seen.origin == "real" else made_in,
            weight=0.0 if photo.seen.sha256 in held_out else folders.weight_of(photo.path),
        )
        for photo in photos
    ]
    return within_caps(Dataset(tuple(members)), limits, made_in)


def within_caps(dataset: Dataset, limits: MergeLimits, iteration: int = 0) -> Dataset:
    """A folder's members without the made ones that are too many, and with the others' weights."""
    kept = {m.sha256 for m in dataset.synthetic[: _most_synthetic(dataset, limits.max_share)]}
    return weighted(
        Dataset(tuple(m for m in dataset.members if m.origin == "real" or m.sha256 in kept)), iteration, limits
    )


def _caption(
    photo: Photo, facets: Sequence[Facet], trigger: str, style: str, class_word: str, folders: DatasetFolders
) -> str:
    """The caption that lies beside the photo or is its folder's (with the trigger, should it lack), else one from what
    was measured.
    """
    own = caption_beside(photo.path) or folders.words_of(photo.path)
    if own is None:
        return words.caption(trigger, facets, photo.seen, style, class_word)
    return with_trigger(own, trigger)


def merge(
    dataset: Dataset, judged: Sequence[Judged], gaps: Sequence[Gap], facets: Sequence[Facet], trigger: str, style: str,
    iteration: int, limits: MergeLimits, class_word: str = "",
) -> tuple[Dataset, list[Judged]]:  # fmt: skip
    """The new dataset and the images that joined it: the best first, no more per gap than it needs, within the caps."""
    quota = {(gap.facet, gap.value): gap.count for gap in gaps}
    free = room(dataset, limits.max_share)
    joined: list[Judged] = []
    for item in sorted(judged, key=lambda j: (-j.verdict.quality, j.asked.path.name)):
        key = (item.asked.facet, item.asked.value)
        if item.seen is None or len(joined) >= free or quota.get(key, 0) <= 0:
            continue
        quota[key] -= 1
        joined.append(item)
    joined.sort(key=lambda j: j.asked.path.name)
    members = [*dataset.members, *(_member(item, facets, trigger, style, iteration, class_word) for item in joined)]
    return weighted(Dataset(tuple(members)), iteration, limits), joined


def room(dataset: Dataset, max_share: float) -> int:
    """How many more made images a dataset takes."""
    return max(0, _most_synthetic(dataset, max_share) - len(dataset.synthetic))


def _most_synthetic(dataset: Dataset, max_share: float) -> int:
    """How many synthetic images may stand beside the real ones."""
    return int(max_share / (1 - max_share) * len(dataset.real) + 1e-9)


def _member(item: Judged, facets: Sequence[Facet], trigger: str, style: str, iteration: int, class_word: str) -> Member:
    assert item.seen is not None
    caption = words.caption(trigger, facets, item.seen, style, class_word)
    return Member(shown_path(item.asked.path), item.seen.sha256, caption, "synthetic", iteration, 1.0)


def weighted(dataset: Dataset, iteration: int, limits: MergeLimits) -> Dataset:
    """Weights of the synthetic members: decayed by age, then scaled down together until the real photos outweigh them
    by ``ratio``.
    """
    real = sum(member.weight for member in dataset.real)
    aged = {m.sha256: limits.decay ** max(0, iteration - m.round) for m in dataset.synthetic}
    total = sum(aged.values())
    scale = min(1.0, real / (limits.ratio * total)) if total > 0 else 1.0
    return Dataset(
        tuple(
            m if m.origin == "real" else dataclasses.replace(m, weight=aged[m.sha256] * scale) for m in dataset.members
        )
    )
