"""Workflow 1: scan -> cluster -> dedup -> label -> caption -> prep -> train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twinloop.config import read_config
from twinloop.domain.names import folded
from twinloop.domain.wording import plural
from twinloop.errors import InputError
from twinloop.menu import questions
from twinloop.menu.director import Option
from twinloop.menu.session import Session
from twinloop.menu.workflow import Workflow
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
    """Ask for the folder, the person and the models; then one command after the other."""
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
    session.director.say(_forecast(photos))
    session.renew(questions.about("photos.state", name), _state(photos), "vault")
    session.run("Scan", ["vault", "scan", photos, "--models-dir", models])
    session.run("Group the faces by person", ["vault", "cluster"])
    person = _person(session, name)
    session.run("Find duplicates", ["vault", "dedup"])
    label = ["vault", "label", person, "--name", name, "--trigger", trigger, "--class", class_word, *consent]
    session.run("Label", label)
    style = ["--style", questions.caption_style(base)]
    session.run("Caption", ["vault", "caption", name, *style])
    session.run("Prepare the training set", ["vault", "prep", name, *style])
    config = _configuration(session, name, base, models, f"{trigger} {class_word}")
    session.run("Train", ["train", "--config", config], questions.training_cost(session, config))
    session.director.say(f"\nNext: make it better in rounds.\n  $ twinloop run --config {shell.quote(config)}")


def _consent(session: Session, name: str) -> list[str]:
    kind = session.choose(questions.about("consent", name), "On what ground may these photos be used?", CONSENT, "none")
    if kind == "none":
        return []
    who = session.text(questions.about("consent.who", name), "Given by (may stay empty):")
    when = session.text(questions.about("consent.when", name), "On which date, YYYY-MM-DD (may stay empty):")
    scope = session.text(questions.about("consent.scope", name), "For what (may stay empty):")
    given = [
        item for flag, value in (("--by", who), ("--on", when), ("--scope", scope)) if value for item in (flag, value)
    ]
    return ["--consent", kind, *given]


def _forecast(photos: str) -> str:
    count = len(find_images(Path(photos)))
    return (
        f"\n{plural(count, 'image file')}. Scanning takes a few tenths of a second for each; what is made goes to"
        f" {DEFAULT} and outputs/."
    )


def _state(photos: str) -> str:
    """Another one when photos came, went or were changed since the workflow was left."""
    changed = [path.stat().st_mtime_ns for path in find_images(Path(photos)) if path.exists()]
    return f"{len(changed)} {max(changed, default=0)}"


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


def _configuration(session: Session, name: str, base: str, models: str, trigger: str) -> str:
    """bootstrap_config.json for this person, written by ``twinloop init``; an existing one of the same person is not
    touched, and what is otherwise in it than was answered is told.
    """
    path = questions.configuration_to_write(session, name, lambda text: _not_anothers(text, name))
    if Path(path).exists():
        session.director.say(f"\n{path} is there already and is used as it is.")
        found, answered = read_config(Path(path)), {"person_trigger": trigger, "base_model": base}
        for field, answer in answered.items():
            if (kept := found.get(field)) is not None and kept != answer:
                session.director.say(f'  {field} is "{kept}" in it, not "{answer}". Change it there, if it should be.')
    else:
        photos = str(Vault(DEFAULT).person(name))
        questions.write_configuration(session, path, name=name, trigger="", base=base, models=models, photos=photos)
    return path


def _not_anothers(text: str, name: str) -> str:
    """A check: a new file, or a configuration of this person."""
    path = Path(text).expanduser()
    if not text or not path.exists():
        return questions.not_empty(text)
    try:
        found = read_config(path)
    except InputError:
        return "that is no configuration; name another file"
    whose = found.get("person_name") if isinstance(found, dict) else None
    if isinstance(whose, str) and folded(whose) == folded(name):
        return ""
    return f"that configuration is for {whose or 'nobody'}; name another file"


WORKFLOW = Workflow(
    "pipeline", "LoRA Training Pipeline", "scan, cluster, dedup, label, caption, prep, train",
    "twinloop vault run PHOTOS --person NAME, then twinloop train --config FILE", run,
)  # fmt: skip
