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
from twinloop.store.sidecar import caption_beside
from twinloop.store.workspace import shown_path


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


def real_dataset(
    photos: Sequence[Photo], facets: Sequence[Facet], trigger: str, style: str, held_out: frozenset[str]
) -> Dataset:
    """The first dataset. Photos already marked as synthetic keep their origin; held-out photos have weight 0 (never trained on)."""
    members = []
    for photo in photos:
        weight = 0.0 if photo.seen.sha256 in held_out else 1.0
        made = photo.seen.origin != "real"
        members.append(
            Member(
                path=shown_path(photo.path), sha256=photo.seen.sha256, caption=_caption(photo, facets, trigger, style),
                origin=photo.seen.origin, round=0, weight=0.0 if made else weight,
            )
        )  # fmt: skip
    return Dataset(tuple(members))


def dataset_by_hand(
    photos: Sequence[Photo], facets: Sequence[Facet], trigger: str, style: str, limits: MergeLimits, held_out: frozenset[str] = frozenset(),
) -> Dataset:  # fmt: skip
    """The dataset of a folder into which the user put approved images by hand: all photos, and what is marked as synthetic within the caps.

    Args:
        held_out: photos that stay out of the training, because its checkpoints are measured against them.
    """
    plain = real_dataset(photos, facets, trigger, style, held_out)
    marked = [dataclasses.replace(m, round=1) if m.origin != "real" else m for m in plain.members]
    kept = {m.sha256 for m in plain.synthetic[: _most_synthetic(plain, limits.max_share)]}
    return weighted(Dataset(tuple(m for m in marked if m.origin == "real" or m.sha256 in kept)), 1, limits)


def _caption(photo: Photo, facets: Sequence[Facet], trigger: str, style: str) -> str:
    """The caption that lies beside the photo (with the trigger, should it lack), else one from what was measured."""
    own = caption_beside(photo.path)
    return words.caption(trigger, facets, photo.seen, style) if own is None else with_trigger(own, trigger)


def merge(
    dataset: Dataset, judged: Sequence[Judged], gaps: Sequence[Gap], facets: Sequence[Facet], trigger: str, style: str,
    iteration: int, limits: MergeLimits,
) -> tuple[Dataset, list[Judged]]:  # fmt: skip
    """The new dataset and the images that joined it: the best first, no more per gap than it needs, within the caps."""
    quota = {(gap.facet, gap.value): gap.count for gap in gaps}
    room = _room(dataset, limits.max_share)
    joined: list[Judged] = []
    for item in sorted(judged, key=lambda j: (-j.verdict.quality, j.asked.path.name)):
        key = (item.asked.facet, item.asked.value)
        if item.seen is None or len(joined) >= room or quota.get(key, 0) <= 0:
            continue
        quota[key] -= 1
        joined.append(item)
    joined.sort(key=lambda j: j.asked.path.name)
    members = [*dataset.members, *(_member(item, facets, trigger, style, iteration) for item in joined)]
    return weighted(Dataset(tuple(members)), iteration, limits), joined


def _room(dataset: Dataset, max_share: float) -> int:
    return max(0, _most_synthetic(dataset, max_share) - len(dataset.synthetic))


def _most_synthetic(dataset: Dataset, max_share: float) -> int:
    """How many synthetic images may stand beside the real ones."""
    return int(max_share / (1 - max_share) * len(dataset.real) + 1e-9)


def _member(item: Judged, facets: Sequence[Facet], trigger: str, style: str, iteration: int) -> Member:
    assert item.seen is not None
    caption = words.caption(trigger, facets, item.seen, style)
    return Member(shown_path(item.asked.path), item.seen.sha256, caption, "synthetic", iteration, 1.0)


def weighted(dataset: Dataset, iteration: int, limits: MergeLimits) -> Dataset:
    """Weights of the synthetic members: decayed by age, then scaled down together until the real photos outweigh them by ``ratio``."""
    real = sum(member.weight for member in dataset.real)
    aged = {m.sha256: limits.decay ** max(0, iteration - m.round) for m in dataset.synthetic if m.round > 0}
    total = sum(aged.values())
    scale = min(1.0, real / (limits.ratio * total)) if total > 0 else 1.0
    return Dataset(
        tuple(
            dataclasses.replace(m, weight=aged[m.sha256] * scale) if m.origin != "real" and m.sha256 in aged else m
            for m in dataset.members
        )
    )
