"""Approved images -> dataset_iterN.json."""

from __future__ import annotations

from collections.abc import Sequence

from twinloop.domain.records import Dataset
from twinloop.domain.shots import Gap
from twinloop.domain.verdicts import Outcome
from twinloop.domain.wording import plural
from twinloop.stages import merge as merging
from twinloop.stages.validate import Judged
from twinloop.steps.options import merge_limits
from twinloop.steps.run import Run, sign


def merge(
    run: Run, dataset: Dataset, judged: Sequence[Judged], gaps: Sequence[Gap], iteration: int
) -> tuple[Dataset, int]:
    """dataset_iterN.json: the dataset with the approved images."""
    settings = run.settings
    limits = merge_limits(settings)
    approved = [item for item in judged if item.verdict.outcome is Outcome.APPROVED]
    merged, _ = merging.merge(
        dataset,
        approved,
        gaps,
        run.toolbox.observer.facets,
        settings.person_trigger,
        run.toolbox.style,
        iteration,
        limits,
        run.toolbox.around.class_word,
    )
    data = run.artefact(f"iter{iteration}.dataset", run.workspace.dataset(iteration), merged.to_json)
    kept = Dataset.from_json(data)
    count = len(kept.members) - len(dataset.members)
    spare = len(approved) - count
    left = f" ({spare} approved left out: {_why_left_out(dataset, limits)})" if spare else ""
    run.say(f"  {sign(count)} Merged: {plural(count, 'image')} into dataset{left}")
    return kept, count


def _why_left_out(dataset: Dataset, limits: merging.MergeLimits) -> str:
    """What keeps approved images out of a dataset."""
    if not merging.room(dataset, limits.max_share):
        return (
            f"made images are {limits.max_share:.0%} of the dataset already, the most that merge.max_synthetic_share"
            " allows"
        )
    return "their gaps need no more, or the dataset takes no more beside so few photos"
