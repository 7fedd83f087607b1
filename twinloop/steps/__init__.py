"""The loop's steps: stages bound to their artefacts.

A step is done when its artefact is there; the journal says what was decided.
"""

from twinloop.steps.beginning import begin, check_same_run
from twinloop.steps.datasets import merge, merge_limits
from twinloop.steps.ending import (
    as_decided,
    decide_on,
    finish,
    record,
    rounds_on_record,
    say_round,
    say_score,
    stop_rules,
)
from twinloop.steps.finished_run import FinishedRunReporter
from twinloop.steps.gaps import Measured, find_gaps, say_gaps, what_was_measured
from twinloop.steps.images import early_judge, face_detail, generate, plan_settings
from twinloop.steps.loras import look_ahead, look_at_captions, pauses, train, trained_with
from twinloop.steps.panels import measure
from twinloop.steps.photos import (
    collect,
    few_photos_message,
    freeze,
    look_at_masks,
    look_for_new_photos,
    observations,
    rules,
)
from twinloop.steps.picking import pick_final
from twinloop.steps.run import Run, settings_fingerprint
from twinloop.steps.verdicts import limits_of, review, validate

__all__ = [
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
    "look_for_new_photos",
    "measure",
    "merge",
    "merge_limits",
    "observations",
    "pauses",
    "pick_final",
    "plan_settings",
    "record",
    "review",
    "rounds_on_record",
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
