"""The loop's steps: stages bound to their artefacts.

A step is done when its artefact is there; the journal says what was decided. `options` has what the settings say to
each stage.
"""

from twinloop.steps.beginning import begin, check_same_run
from twinloop.steps.datasets import merge
from twinloop.steps.ending import close_round, decide_on, finish, record
from twinloop.steps.finished_run import FinishedRunReporter
from twinloop.steps.gaps import find_gaps, say_gaps
from twinloop.steps.images import generate
from twinloop.steps.loras import look_ahead, look_at_captions, pauses, train
from twinloop.steps.panels import measure
from twinloop.steps.photos import (
    NO_FACES,
    collect,
    few_photos_message,
    freeze,
    left_out_of,
    look_at_masks,
    look_for_new_photos,
    observations,
)
from twinloop.steps.picking import pick_final
from twinloop.steps.run import Run
from twinloop.steps.verdicts import review, validate

__all__ = [
    "NO_FACES",
    "FinishedRunReporter",
    "Run",
    "begin",
    "check_same_run",
    "close_round",
    "collect",
    "decide_on",
    "few_photos_message",
    "find_gaps",
    "finish",
    "freeze",
    "generate",
    "left_out_of",
    "look_ahead",
    "look_at_captions",
    "look_at_masks",
    "look_for_new_photos",
    "measure",
    "merge",
    "observations",
    "pauses",
    "pick_final",
    "record",
    "review",
    "say_gaps",
    "train",
    "validate",
]
