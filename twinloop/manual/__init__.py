"""The loop's steps one at a time, by hand: the same stages over folders of the user's choice, without a run folder.

What one step knows travels in its artefact: gaps.json names the photos, generation_metadata.json hands that on, and so
a validation compares with the same photos as the loop would.
"""

from twinloop.manual.comparison import (
    GRID,
    PAGE,
    PlannedComparison,
    Ruler,
    WantedComparison,
    loras_of_run,
    make_comparison,
    plan_comparison,
    plan_json,
)
from twinloop.manual.images import (
    ImageOrder,
    Studio,
    make_images,
    observed_sources,
    photos_of_run,
    plan_shots,
    usable_sources,
)
from twinloop.manual.masks import MaskOrder, plan_masks
from twinloop.manual.photos import find_gaps, look_at, look_at_run, read_gaps, recorded_dataset
from twinloop.manual.training import train_folder, training_set
from twinloop.manual.verdicts import judge_folder, learn_person
from twinloop.stages.select import Photos
