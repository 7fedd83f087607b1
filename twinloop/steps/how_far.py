"""How far a run has come, as its files say."""

from __future__ import annotations

from twinloop.config import Settings
from twinloop.domain.wording import plural
from twinloop.stages import review
from twinloop.stages.history import ROUNDS, count_of
from twinloop.steps.finished_run import ended
from twinloop.store.atomic import read_object
from twinloop.store.run.workspace import Workspace


def standing(settings: Settings, workspace: Workspace) -> str:
    """What the same command would do with a run that is there: nothing, or where it goes on; "" = there is none."""
    if not workspace.run_record.exists():
        return ""
    over = ended(settings, workspace)
    if over is not None and over.stop is not None:
        return f"This run is finished ({over.stop.reason}); --restart begins anew."
    return f"This run is under way and goes on {_where(settings, workspace)}; --restart begins anew."


def _where(settings: Settings, space: Workspace) -> str:
    """As "in round 2, with..."."""
    if not space.dataset(0).exists():
        return "with the choice of photos"
    if not space.lora_record(1).exists():
        return "with the training of v1"
    if not space.panel_score(1).exists():
        return "with the measuring of v1"
    history = read_object(space.history)
    number = count_of(history, ROUNDS) + 1
    return f"in round {number}, with {_in_round(settings, space, number, count_of(history, 'loras') + 1)}"


def _in_round(settings: Settings, space: Workspace, number: int, version: int) -> str:
    """``version``: of the LoRA that the round makes."""
    if not space.shots(number).exists():
        return "its gaps"
    if not space.verdicts(number).exists():
        asked, made = read_object(space.shots(number)).get("count", 0), len(list(space.synthetic(number).glob("*.png")))
        return f"its {plural(asked, 'image')} ({made} made)"
    if not space.dataset(number).exists():
        waits = review.wanted(settings.review, number)
        finished = review.Review.read(space.review(number), number).finished
        return "your review of its images" if waits and not finished else "its approved images"
    if not space.lora_record(version).exists():
        return f"the training of v{version}"
    return f"the measuring of v{version}"
