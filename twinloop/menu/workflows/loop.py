"""The bootstrap loop: a new run, or one that goes on."""

from __future__ import annotations

from pathlib import Path

from twinloop.menu import questions
from twinloop.menu.begun_runs import restarting
from twinloop.menu.director import Option
from twinloop.menu.session import Session
from twinloop.menu.workflow import Workflow


def run(session: Session) -> None:
    kind = session.choose(
        "loop.kind",
        "A new run, or one that exists?",
        [
            Option("continue", "with a configuration that exists", "a stopped run goes on where it was"),
            Option("new", "new", "write a configuration first"),
        ],
        "continue",
    )
    config = _new(session) if kind == "new" else questions.configuration(session)
    if session.confirm("loop.preview", "Look at the gaps and the plan of round 1 first? (writes nothing)", False):
        session.run("Preview", ["run", "--config", config, "--dry-run"])
    anew = restarting(session, config)
    session.run(
        "Bootstrap loop", ["run", "--config", config, *anew], "can be stopped at any time and goes on", once=anew
    )


def _new(session: Session) -> str:
    name = questions.person_name(session)
    trigger = questions.trigger(session, name)
    photos = questions.dataset(session, name)
    models, base = questions.models(session), questions.base_model(session)
    path = questions.configuration_to_write(session, name, _free)
    questions.write_configuration(session, path, name=name, trigger=trigger, base=base, models=models, photos=photos)
    return path


def _free(text: str) -> str:
    taken = Path(text).expanduser().exists()
    return questions.not_empty(text) or ("that file exists; name another" if taken else "")


WORKFLOW = Workflow(
    "loop", "Bootstrap loop", "gaps, images, checks, retrain, in measured rounds", "twinloop run --config FILE", run
)
