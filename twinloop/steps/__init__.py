"""The loop's steps: stages bound to their artefacts.

A step is done when its artefact is there; the journal says what was decided. `options` has what the settings say to
each stage.
"""

from twinloop.steps.beginning import begin, check_same_run, same_settings
from twinloop.steps.datasets import dataset_of, merge
from twinloop.steps.ending import close_round, decide_on, finish, record
from twinloop.steps.finished_run import FinishedRunReporter
from twinloop.steps.gaps import analysed, find_gaps, say_gaps
from twinloop.steps.images import generate
from twinloop.steps.loras import look_ahead, look_at_captions, pauses, train
from twinloop.steps.panels import measure
from twinloop.steps.photos import (
    NO_FACES,
    Beside,
    collect,
    few_photos_message,
    freeze,
    look_at_folder,
    look_beside_photos,
    no_validation_message,
    observations,
    observations_of,
    told_held_out,
)
from twinloop.steps.picking import pick_final
from twinloop.steps.places import check_places
from twinloop.steps.run import Run
from twinloop.steps.since_begun import SinceBegun, check_photos, look_for_new_photos, since_begun
from twinloop.steps.standing import standing
from twinloop.steps.verdicts import review, validate
