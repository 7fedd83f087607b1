"""The loop's steps: stages bound to their artefacts.

A step is done when its artefact is there; the journal says what was decided. `stage_options` has what the settings say
to each stage.
"""

from twinloop.steps.beginning import begin, check_same_run, same_settings
from twinloop.steps.datasets import dataset_of, merge
from twinloop.steps.differences import SinceBegun, check_photos, look_for_new_photos, since_begun
from twinloop.steps.ending import close_round, decide_on, finish, record
from twinloop.steps.finished_run import FinishedRunReporter
from twinloop.steps.gaps import analysed, find_gaps, say_gaps
from twinloop.steps.how_far import standing
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
    observations_of,
    recall_folder,
    told_held_out,
)
from twinloop.steps.picking import pick_final
from twinloop.steps.places import check_places
from twinloop.steps.restarting import PutAway, check_restart, put_away
from twinloop.steps.run import Run
from twinloop.steps.verdicts import review, validate
