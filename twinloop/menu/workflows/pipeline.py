"""Workflow 1: scan -> cluster -> dedup -> label -> caption -> prep -> train."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from twinloop.domain.names import folded
from twinloop.domain.vault import NOT_RECORDED, Consent
from twinloop.domain.wording import plural
from twinloop.menu import questions
from twinloop.menu.begun_runs import restarting
from twinloop.menu.director import Option
from twinloop.menu.session import Session
from twinloop.menu.vault_said import said_of, state_of
from twinloop.menu.workflow import Workflow
from twinloop.menu.workflows.configured import ANOTHER, FILE, Answers, settled
from twinloop.store.pictures.images import find_images
from twinloop.store.vault.folder import DEFAULT, Vault
from twinloop.system import shell

CONSENT = (
    Option("none", "do not record it", 'outputs will say "not recorded"'),
    Option("self", "it is me"),
    Option("written", "written consent"),
    Option("licence", "a licence"),
    Option("fictional", "a fictional character"),
)


def run(session: Session) -> None:
    """Ask for the folder, the person, the models and the configuration; then one command after the other."""
    photos = session.path("photos", "Folder with the photos (they are only read):", "", questions.folder_of_pictures)
    name = questions.person_name(session)
    trigger = questions.trigger(session, name)
    class_word = session.text(
        questions.about("person.class", name),
        "What the person is (person, woman, man, 1girl...):",
        "person",
        questions.not_empty,
    )
    consent = _consent(session, name)
    models, base = questions.models(session), questions.base_model(session)
    answers = Answers(name, trigger, class_word, consent, models, base)
    wanted = _as_said(session, answers)
    # who has just said that the vault's words count does not take them back with Enter
    config, wanted = settled(session, wanted, FILE if wanted == answers else ANOTHER)
    session.director.say(_forecast(photos))
    _prepare(session, photos, wanted)
    if not Path(config).exists():
        folder = str(Vault(DEFAULT).person(name))
        questions.write_configuration(
            session, config, name=name, trigger="", base=wanted.base, models=wanted.models, photos=folder
        )
    anew = restarting(session, config)
    cost = questions.training_cost(session, config)
    session.run("Train", ["train", "--config", config, *anew], cost, once=anew)
    session.director.say(f"\nNext: make it better in rounds.\n  $ twinloop run --config {shell.quote(config)}")


def _prepare(session: Session, photos: str, wanted: Answers) -> None:
    """The steps of the vault, again where photos or decisions are others than when they were done."""
    name, vault, key = wanted.name, Vault(DEFAULT), questions.about("decisions.state", wanted.name)

    def step(what: str, *words: str) -> None:
        session.run(what, ["vault", *words])
        session.note(key, state_of(vault, name))  # what the step itself wrote is nothing new

    session.renew(
        questions.about("photos.state", name), _state(photos), "vault",
        f"Photos in {photos} came, went or were changed since: the steps of the vault are done again.",
    )  # fmt: skip
    session.renew(
        key, state_of(vault, name), "vault",
        "Something was said in the vault, or a caption was edited, since: its steps are done again.",
    )  # fmt: skip
    step("Scan", "scan", photos, "--models-dir", wanted.models)
    step("Group the faces by person", "cluster")
    person = _person(session, name)
    step("Find duplicates", "dedup")
    named = ("--name", name, "--trigger", wanted.trigger, "--class", wanted.class_word)
    step("Label", "label", person, *named, *_flags(wanted.consent))
    style = ("--style", questions.caption_style(wanted.base, wanted.preset))
    step("Caption", "caption", name, *style)
    step("Prepare the training set", "prep", name, *style)


def _as_said(session: Session, wanted: Answers) -> Answers:
    """What was answered, or what the vault says of the person, where that is otherwise: somebody said it there."""
    said = said_of(Vault(DEFAULT), wanted.name)
    if said is None:
        return wanted
    recorded = said.consent != NOT_RECORDED
    others = wanted.consent != NOT_RECORDED and recorded and said.consent != wanted.consent
    if (said.trigger, said.class_word) == (wanted.trigger, wanted.class_word) and not others:
        return wanted
    # a consent that is on record stays where `vault label` is given none
    consent = NOT_RECORDED if recorded else wanted.consent
    in_vault = replace(wanted, trigger=said.trigger, class_word=said.class_word, consent=consent)
    here, there = _words(wanted, wanted.consent), _words(in_vault, said.consent)
    session.director.say(
        f"\nIn the vault, it says otherwise of {wanted.name} than was answered here:\n  {there}; not {here}."
    )
    key = questions.about(f"label.otherwise {there}, not {here}", wanted.name)
    options = [
        Option("vault", "what the vault says", "as it was said there"),
        Option("answers", "what was answered", "the vault takes it"),
    ]
    return in_vault if session.choose(key, "Which words count?", options, "vault") == "vault" else wanted


def _words(wanted: Answers, consent: Consent) -> str:
    ground = f", {consent.text}" if consent != NOT_RECORDED else ""
    return f'"{wanted.trigger}", {wanted.class_word}{ground}'


def _consent(session: Session, name: str) -> Consent:
    kind = session.choose(questions.about("consent", name), "On what ground may these photos be used?", CONSENT, "none")
    if kind == "none":
        return NOT_RECORDED
    who = session.text(questions.about("consent.who", name), "Given by (may stay empty):")
    when = session.text(questions.about("consent.when", name), "On which date, YYYY-MM-DD (may stay empty):")
    scope = session.text(questions.about("consent.scope", name), "For what (may stay empty):")
    return Consent(kind, who, when, scope)


def _flags(consent: Consent) -> list[str]:
    """Of `vault label`; without any, it leaves the consent as it is."""
    told = (("--consent", consent.kind), ("--by", consent.who), ("--on", consent.when), ("--scope", consent.scope))
    return [item for flag, value in told if value for item in (flag, value)]


def _forecast(photos: str) -> str:
    count = len(find_images(Path(photos)))
    return (
        f"\n{plural(count, 'image file')}. Scanning takes a few tenths of a second for each; what is made goes to"
        f" {DEFAULT} and outputs/."
    )


def _state(photos: str) -> str:
    """Another one when photos came, went or were changed since the workflow was left."""
    found = hashlib.sha256()
    for path in find_images(Path(photos)):
        with contextlib.suppress(OSError):
            stat = path.stat()
            found.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return found.hexdigest()[:16]


def _person(session: Session, name: str) -> str:
    """Whom to prepare: the one who has this name already, the only person, or the user's choice; those without a name
    first, then by photos.
    """
    found: list[dict[str, Any]] = [item for item in session.ask(["vault", "clusters"]) or [] if item["id"] is not None]
    named = [item["id"] for item in found if folded(item["name"] or "") == folded(name)]
    if named:
        return str(named[0])
    if not found:
        return "p001"  # `vault label` then says what is wrong, and what to do
    if len(found) == 1 and not found[0]["name"]:
        return str(found[0]["id"])
    found.sort(key=lambda item: (bool(item["name"]), -len(item["faces"])))
    options = [
        Option(
            item["id"],
            f"{item['name'] or item['id']}: {plural(len(item['faces']), 'photo')}",
            "has a name already" if item["name"] else f"such as {Path(item['faces'][0]['path']).name}",
        )
        for item in found
    ]
    key = questions.about("person.cluster", name)
    return session.choose(key, f"Which of these people is {name}?", options, found[0]["id"])


WORKFLOW = Workflow(
    "pipeline", "LoRA Training Pipeline", "scan, cluster, dedup, label, caption, prep, train",
    "twinloop vault run PHOTOS --person NAME, then twinloop train --config FILE", run,
)  # fmt: skip
