"""Merge: approved images join the dataset, within caps; the real photos always stay. A change makes a new dataset."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twinloop.domain.observation import Observation
from twinloop.domain.records import Dataset, Member
from twinloop.domain.shots import Gap
from twinloop.stages.validate import Judged
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


def merge(
    dataset: Dataset,
    judged: Sequence[Judged],
    gaps: Sequence[Gap],
    caption: Callable[[Observation], str],
    iteration: int,
    limits: MergeLimits,
) -> tuple[Dataset, list[Judged]]:
    """The new dataset and the images that joined it: the best first, no more per gap than it needs, within the caps.

    Args:
        caption: the words for a picture, by what was measured on it.
    """
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
    members = [*dataset.members, *(_member(item, caption, iteration) for item in joined)]
    return weighted(Dataset(tuple(members)), iteration, limits), joined


def room(dataset: Dataset, max_share: float) -> int:
    """How many more made images a dataset takes."""
    return max(0, most_synthetic(dataset, max_share) - len(dataset.synthetic))


def most_synthetic(dataset: Dataset, max_share: float) -> int:
    """How many synthetic images may stand beside the real ones."""
    return int(max_share / (1 - max_share) * len(dataset.real) + 1e-9)


def _member(item: Judged, caption: Callable[[Observation], str], iteration: int) -> Member:
    assert item.seen is not None
    return Member(shown_path(item.asked.path), item.seen.sha256, caption(item.seen), "synthetic", iteration, 1.0)


def weighted(dataset: Dataset, iteration: int, limits: MergeLimits) -> Dataset:
    """Weights of the synthetic members: decayed by age, then scaled down together until the real photos outweigh them
    by ``ratio``.
    """
    real = sum(member.weight for member in dataset.real)
    aged = {m.path: limits.decay ** max(0, iteration - m.round) for m in dataset.synthetic}
    total = sum(aged.values())
    scale = min(1.0, real / (limits.ratio * total)) if total > 0 else 1.0
    return Dataset(
        tuple(m if m.origin == "real" else dataclasses.replace(m, weight=aged[m.path] * scale) for m in dataset.members)
    )
