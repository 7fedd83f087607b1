"""A person's configuration that is there already: held against what was answered before anything is done."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twinloop.config import read_config
from twinloop.domain.captions import PEOPLE
from twinloop.domain.names import folded
from twinloop.domain.vault import Consent
from twinloop.errors import InputError
from twinloop.menu import questions
from twinloop.menu.director import Option
from twinloop.menu.session import Session
from twinloop.store.vault.folder import DEFAULT, Vault

FILE, ANOTHER = "file", "another"


@dataclass(frozen=True)
class Answers:
    """What was answered about a person and the models. ``preset``: that the configuration names; "" = none."""

    name: str
    trigger: str
    class_word: str
    consent: Consent
    models: str
    base: str
    preset: str = ""


def settled(session: Session, answers: Answers, usual: str = FILE) -> tuple[str, Answers]:
    """The configuration to use or to write, and what holds with it: where one says otherwise than was answered, either
    the file counts, or another one is written.

    Args:
        usual: what Enter takes where a file says otherwise, ``file`` or ``another``.
    """
    path = questions.configuration_to_write(session, answers.name, lambda text: _not_anothers(text, answers.name))
    if not Path(path).exists():
        return path, answers
    found = _object(read_config(Path(path)))
    told = list(_differences(found, answers))
    if not told:
        session.director.say(f"\n{path} is there already and is used as it is.")
        return path, _by_preset(found, answers)
    session.director.say("\n".join([f"\n{path} is there already, and says otherwise:", *(f"  {one}." for one in told)]))
    key = questions.about(f"config.otherwise {path} {'; '.join(told)}", answers.name)
    options = [
        Option(FILE, "use what the file says", "instead of these answers"),
        Option(ANOTHER, "write another file", "with these answers, under a new name"),
    ]
    if session.choose(key, "What about the configuration?", options, usual) == FILE:
        return path, _as_told(found, answers)
    session.again(questions.configuration_key(answers.name))
    return questions.configuration_to_write(session, answers.name, _free, other=_free_name(path)), answers


def _differences(found: Mapping[str, Any], answers: Answers) -> Iterator[str]:
    """What the file says otherwise, a sentence each without its full stop."""
    training = _object(found.get("training"))
    trigger, class_word = answers.trigger, answers.class_word
    told = found.get("person_trigger")
    if isinstance(told, str) and not _begins_as(told, trigger, class_word):
        yield _other("person_trigger", told, f"{trigger} {class_word}")
    told = training.get("class_word")
    if isinstance(told, str) and told.casefold() != class_word.casefold():
        yield _other("training.class_word", told, class_word)
    places = (
        ("base_model", answers.base),
        ("models_dir", answers.models),
        ("dataset_dir", str(Vault(DEFAULT).person(answers.name))),
    )
    for field, answer in places:
        told = found.get(field)
        if isinstance(told, str) and not _same_place(told, answer, within=field == "dataset_dir"):
            yield _other(field, told, answer)
    told, usual = training.get("preset"), questions.preset_of(answers.base)
    if isinstance(told, str) and usual and told != usual and found.get("base_model") == answers.base:
        yield _other("training.preset", told, usual)


def _other(field: str, told: str, answer: str) -> str:
    return f'{field} is "{told}" in it, not "{answer}"'


def _begins_as(told: str, trigger: str, class_word: str) -> bool:
    """Whether these are the trigger words with the class word or without, or with the tags of a class."""
    plain, own = told.casefold(), trigger.casefold()
    return plain in (own, f"{own} {class_word.casefold()}") or plain.startswith(f"{own}, ")


def _same_place(told: str, answer: str, within: bool) -> bool:
    """Whether two texts name one thing. ``within``: or the first lies in the second, as kohya's folder does."""
    if told == answer:
        return True
    real, other = (Path(os.path.realpath(Path(text).expanduser())) for text in (told, answer))
    return real == other or (within and real.is_relative_to(other))


def _as_told(found: Mapping[str, Any], answers: Answers) -> Answers:
    """The answers with what the file says in their place."""
    training, trigger = _object(found.get("training")), _text(found, "person_trigger", answers.trigger)
    last = trigger.split()[-1:]
    # "zwx alice woman" says the class itself
    usual = last[0] if last and last[0].casefold() in PEOPLE else answers.class_word
    if _begins_as(trigger, answers.trigger, answers.class_word):
        trigger, usual = answers.trigger, answers.class_word
    told = replace(
        answers,
        trigger=trigger,
        class_word=_text(training, "class_word", usual),
        base=_text(found, "base_model", answers.base),
        models=_text(found, "models_dir", answers.models),
    )
    return _by_preset(found, told)


def _by_preset(found: Mapping[str, Any], answers: Answers) -> Answers:
    return replace(answers, preset=_text(_object(found.get("training")), "preset", ""))


def _text(data: Mapping[str, Any], field: str, otherwise: str) -> str:
    told = data.get(field)
    return told if isinstance(told, str) and told else otherwise


def _object(data: Any) -> Mapping[str, Any]:
    return data if isinstance(data, dict) else {}


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


def _free(text: str) -> str:
    taken = Path(text).expanduser().exists()
    return questions.not_empty(text) or ("that file exists; name another" if taken else "")


def _free_name(path: str) -> str:
    """A name beside a file that nothing has."""
    known, number = Path(path), 2
    while (free := known.with_name(f"{known.stem}_{number}{known.suffix}")).exists():
        number += 1
    return str(free)
