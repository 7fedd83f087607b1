"""A run that has begun, before its command is run again: it goes on, or begins anew with what is other since."""

from __future__ import annotations

from pathlib import Path

from twinloop.config import parse_settings, read_config
from twinloop.errors import TwinLoopError
from twinloop.menu.director import Back, Option
from twinloop.menu.session import Session

RESTART = ("--restart",)
ANEW, GO_ON, LEAVE = "anew", "go on", "leave"


def restarting(session: Session, config: str) -> tuple[str, ...]:
    """The flags with which the run of a configuration is started.

    The answer is not remembered: asked again, it is about other changes.

    Raises:
        Back: the run is to be left as it is.
    """
    from twinloop.steps import since_begun  # numpy takes a while
    from twinloop.store.run.put_aside import restart_was_stopped
    from twinloop.store.run.workspace import workspace_of

    try:
        settings = parse_settings(read_config(Path(config)), config)
        workspace = workspace_of(settings)
        if restart_was_stopped(workspace):
            return RESTART
        found = since_begun(settings, workspace)
    except (TwinLoopError, OSError):  # the command itself says what is wrong
        return ()
    if not found:
        return ()
    session.director.say(f"\nThe run of {config} has begun. Since then: {found.text}.")
    anew = Option(ANEW, "begin anew", "the old run is kept under a new name")
    leave = Option(LEAVE, "leave it", "it goes on once these are as they were")
    go_on = Option(GO_ON, "go on", "with what the run began with")
    options = [anew, leave if found.refused else go_on]
    chosen = session.director.choose("Begin the run anew, with what is other since then?", options, ANEW)
    if chosen == LEAVE:
        raise Back
    return RESTART if chosen == ANEW else ()
