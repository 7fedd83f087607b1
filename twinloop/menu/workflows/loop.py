"""The bootstrap loop: a new run, or one that goes on."""

from __future__ import annotations

from pathlib import Path

from twinloop.menu import questions
from twinloop.menu.director import Option
from twinloop.menu.session import Session
from twinloop.menu.workflow import Workflow
from twinloop.store.vault import DEFAULT, Vault


def run(session: Session) -> None:
    kind = session.choose(
        "loop.kind", "A new run, or one that exists?",
        [Option("continue", "with a configuration that exists", "a stopped run goes on where it was"), Option("new", "new", "write a configuration first")],
        "continue",
    )  # fmt: skip
    config = _new(session) if kind == "new" else questions.configuration(session)
    if session.confirm("loop.preview", "Look at the gaps and the plan of round 1 first? (writes nothing)", False):
        session.run("Preview", ["run", "--config", config, "--dry-run"])
    session.run("Bootstrap loop", ["run", "--config", config], "can be stopped at any time and goes on")


def _new(session: Session) -> str:
    name = questions.person_name(session)
    trigger = questions.trigger(session, name)
    dataset = questions.dataset(session, str(Vault(DEFAULT).person(name)))
    models, base = questions.models(session), questions.base_model(session)
    path = session.text(
        "config.new", "Configuration to write:", f"bootstrap_config_{name.replace(' ', '_')}.json", _free
    )
    session.run(
        "Write the configuration",
        [
            "init", "--person-name", name, "--person-trigger", trigger, "--base-model", base, "--models-dir", models,
            "--dataset-dir", dataset, "--output", path,
        ],
    )  # fmt: skip
    return path


def _free(text: str) -> str:
    return questions.not_empty(text) or ("that file exists; name another" if Path(text).exists() else "")


WORKFLOW = Workflow(
    "loop", "Bootstrap loop", "gaps, images, checks, retrain, in measured rounds", "twinloop run --config FILE", run
)
