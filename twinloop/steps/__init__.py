"""The loop's steps: stages bound to their artefacts.

A step is done when its artefact is there; the journal says what was decided.
"""

from twinloop.steps.beginning import begin, check_same_run
from twinloop.steps.datasets import merge, merge_limits
from twinloop.steps.ending import as_decided, decide_on, finish, record, say_round, say_score, stop_rules
from twinloop.steps.finished_run import FinishedRunReporter
from twinloop.steps.gaps import Measured, find_gaps, say_gaps, what_was_measured
from twinloop.steps.images import early_judge, face_detail, generate, plan_settings
from twinloop.steps.loras import look_ahead, look_at_captions, pauses, train, trained_with
from twinloop.steps.panels import measure
from twinloop.steps.photos import (
    DRAWN,
    collect,
    few_photos_message,
    freeze,
    look_at_masks,
    no_photos_message,
    observations,
    rules,
)
from twinloop.steps.picking import pick_final
from twinloop.steps.run import Run, settings_fingerprint
from twinloop.steps.verdicts import limits_of, review, validate

__all__ = [
    "DRAWN",
    "FinishedRunReporter",
    "Measured",
    "Run",
    "as_decided",
    "begin",
    "check_same_run",
    "collect",
    "decide_on",
    "early_judge",
    "face_detail",
    "few_photos_message",
    "find_gaps",
    "finish",
    "freeze",
    "generate",
    "limits_of",
    "look_ahead",
    "look_at_captions",
    "look_at_masks",
    "measure",
    "merge",
    "merge_limits",
    "no_photos_message",
    "observations",
    "pauses",
    "pick_final",
    "plan_settings",
    "record",
    "review",
    "rules",
    "say_gaps",
    "say_round",
    "say_score",
    "settings_fingerprint",
    "stop_rules",
    "train",
    "trained_with",
    "validate",
    "what_was_measured",
]
