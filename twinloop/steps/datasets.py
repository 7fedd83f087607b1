"""Approved images -> dataset_iterN.json."""

from __future__ import annotations

from collections.abc import Sequence

from twinloop.config import Settings
from twinloop.domain.records import Dataset
from twinloop.domain.shots import Gap
from twinloop.domain.verdicts import Outcome as Judgement
from twinloop.domain.wording import plural
from twinloop.stages import merge as merging
from twinloop.stages.validate import Judged
from twinloop.steps.run import Run, sign


def merge_limits(settings: Settings) -> merging.MergeLimits:
    wanted = settings.merge
    return merging.MergeLimits(wanted.max_synthetic_share, wanted.real_to_synthetic_weight, wanted.decay)


def merge(
    run: Run, dataset: Dataset, judged: Sequence[Judged], gaps: Sequence[Gap], iteration: int
) -> tuple[Dataset, int]:
    """dataset_iterN.json: the dataset with the approved images."""
    settings = run.settings
    limits = merge_limits(settings)
    approved = [item for item in judged if item.verdict.outcome is Judgement.APPROVED]
    merged, joined = merging.merge(
        dataset,
        approved,
        gaps,
        run.toolbox.observer.facets,
        settings.person_trigger,
        run.toolbox.style,
        iteration,
        limits,
    )
    data = run.artefact(f"iter{iteration}.dataset", run.workspace.dataset(iteration), merged.to_json)
    run.say(f"  {sign(joined)} Merged: {plural(len(joined), 'image')} into dataset")
    return Dataset.from_json(data), len(joined)
