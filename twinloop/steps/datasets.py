"""Approved images -> dataset_iterN.json."""

from __future__ import annotations

from collections.abc import Sequence

from twinloop.config import Settings
from twinloop.domain.records import Dataset
from twinloop.domain.shots import Gap
from twinloop.domain.verdicts import Outcome
from twinloop.domain.wording import plural
from twinloop.stages import merge as merging
from twinloop.stages.first_dataset import Captioner, FirstDataset, first_dataset
from twinloop.stages.select import Photos
from twinloop.stages.toolbox import Toolbox
from twinloop.stages.validate import Judged
from twinloop.stages.words import caption
from twinloop.steps.lost_images import put_back_images
from twinloop.steps.run import Run, sign
from twinloop.steps.stage_options import merge_limits
from twinloop.store.atomic import read_as


def captioner(settings: Settings, toolbox: Toolbox) -> Captioner:
    """What describes a picture by what was measured on it."""
    voice, facets = toolbox.makers.voice, toolbox.observer.facets
    return lambda seen: caption(voice.trigger, facets, seen, voice.style, voice.around.class_word)


def dataset_of(
    photos: Photos, settings: Settings, toolbox: Toolbox, *, held_out: frozenset[str], made_in: int
) -> FirstDataset:
    """As `first_dataset`, with what the settings say of it."""
    return first_dataset(
        photos,
        settings.person_trigger,
        captioner(settings, toolbox),
        merge_limits(settings),
        held_out=held_out,
        made_in=made_in,
    )


def merge(
    run: Run, dataset: Dataset, judged: Sequence[Judged], gaps: Sequence[Gap], iteration: int
) -> tuple[Dataset, int]:
    """dataset_iterN.json: the dataset with the approved images."""
    settings = run.settings
    limits = merge_limits(settings)
    approved = [item for item in judged if item.verdict.outcome is Outcome.APPROVED]
    merged, _ = merging.merge(dataset, approved, gaps, captioner(settings, run.toolbox), iteration, limits)
    path = run.workspace.dataset(iteration)
    run.artefact(f"iter{iteration}.dataset", path, merged.to_json)
    kept = read_as(path, Dataset.from_json)
    put_back_images(run, kept)
    count = len(kept.members) - len(dataset.members)
    gone = sum(item.seen is None and not item.asked.path.exists() for item in approved)
    spare = len(approved) - gone - count
    why = [f"{spare} approved left out: {_why_left_out(kept, limits)}"] if spare > 0 else []
    why += [f"of {gone} approved the file is gone"] if gone else []
    left = f" ({'; '.join(why)})" if why else ""
    run.say(f"  {sign(count)} Merged: {plural(count, 'image')} into dataset{left}")
    return kept, count


def _why_left_out(dataset: Dataset, limits: merging.MergeLimits) -> str:
    """What keeps approved images out of a dataset. ``dataset``: with those that joined."""
    if not merging.room(dataset, limits.max_share):
        return (
            f"the dataset holds as many generated images as merge.max_synthetic_share ({limits.max_share:.0%}) allows"
        )
    return "their gaps need no more, or the dataset takes no more beside so few photos"
