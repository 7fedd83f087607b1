"""The loop's steps one at a time, by hand: the same stages over folders of the user's choice, without a run folder.

What one step knows travels in its artefact: gaps.json names the photos, generation_metadata.json hands that on, and so
a validation compares with the same photos as the loop would.
"""

from twinloop.manual.images import (
    RECORD,
    Order,
    Studio,
    make_images,
    observed_sources,
    photos_of_run,
    plan_shots,
    usable_sources,
)
from twinloop.manual.photos import find_gaps, look_at, read_gaps, recorded_dataset
from twinloop.manual.training import train_folder
from twinloop.manual.verdicts import judge_folder, learn_person
from twinloop.stages.select import Photos

__all__ = [
    "RECORD",
    "Order",
    "Photos",
    "Studio",
    "find_gaps",
    "judge_folder",
    "learn_person",
    "look_at",
    "make_images",
    "observed_sources",
    "photos_of_run",
    "plan_shots",
    "read_gaps",
    "recorded_dataset",
    "train_folder",
    "usable_sources",
]
