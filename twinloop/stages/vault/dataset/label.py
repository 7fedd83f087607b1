"""Label: how a person is called in training, and on what ground the photos may be used.

Both are decisions, and can be undone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from twinloop.domain.captions import count_tags, one_line, parts_of, plain
from twinloop.domain.names import folded, normal
from twinloop.domain.vault import NOT_RECORDED, Consent, Label, Person
from twinloop.errors import InputError
from twinloop.stages import words
from twinloop.stages.vault.dataset.trigger import problems_of, warnings_of
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people import edits
from twinloop.stages.vault.people.membership import ids_merged_into
from twinloop.stages.vault.people.record import read_people
from twinloop.store.vault.decisions import DecisionLog


@dataclass(frozen=True)
class LabelOptions:
    """What the user says of a person. ``name``: None = leave it as it is."""

    trigger: str
    class_word: str
    consent: Consent = NOT_RECORDED
    name: str | None = None


@dataclass(frozen=True)
class Labelled:
    """The outcome. ``name`` = how the person is called now, None = by the id alone; ``style``: of the captions."""

    label: Label
    name: str | None
    warnings: tuple[str, ...]
    style: str = "prose"

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            **label_json(self.label),
            "prompt": head_of(self.label, self.style),
            "warnings": list(self.warnings),
        }


def label(opened: OpenVault, person: Person, options: LabelOptions, style: str = "prose") -> Labelled:
    """Write the label of a person down, and the name where one is given.

    Args:
        style: of the person's captions, for what prompts begin with.

    Raises:
        InputError: a trigger, class word, name or consent that cannot be; nothing was written.
    """
    made = Label(person.id, one_line(options.trigger), one_line(options.class_word), options.consent)
    check(made.trigger, made.class_word, options.consent)
    if options.name is not None and normal(options.name) != _name(opened.decisions, person):
        edits.name(opened, person.id, options.name)
    if made != label_of(opened.decisions, person.id):
        opened.decisions.add("label", label_json(made))
    return Labelled(
        made,
        _name(opened.decisions, person),
        (
            *warnings_of(made.trigger, made.class_word),
            *_sharing(opened, made),
            *_consent_warnings(options.consent),
        ),
        style,
    )


def _sharing(opened: OpenVault, made: Label) -> Iterator[str]:
    """Who else is called by this trigger."""
    people = read_people(opened.vault).persons if opened.vault.people.exists() else ()
    for other in people:
        said = label_of(opened.decisions, other.id) if other.id != made.person else None
        if said is not None and folded(said.trigger) == folded(made.trigger):
            yield (
                f"{other.called} has the trigger '{made.trigger}', too: together in a training they would be learned as"
                " one person. Give one of them another: run this again with a --trigger of its own, then"
                f" {opened.vault.command(f'prep {made.person}')}"
            )


def check(trigger: str, class_word: str, consent: Consent) -> None:
    """Raises InputError where these cannot make a label; names all that is wrong with them."""
    problems = [*problems_of(trigger, class_word), *_consent_problems(consent)]
    if problems:
        raise InputError(f"This label cannot be used: {'; '.join(problems)}.")


def label_of(decisions: DecisionLog, person_id: str) -> Label | None:
    """The label that stands, or None: the person's own, else that of somebody who was merged into this person."""
    ids = ids_merged_into(decisions.active("merge"), person_id)
    said = [made.data for made in decisions.active("label") if made.data["person"] in ids]
    own = [data for data in said if data["person"] == person_id] or said
    return replace(label_from_json(own[-1]), person=person_id) if own else None


def needed_label(opened: OpenVault, person: Person) -> Label:
    """The label that stands.

    Raises:
        InputError: there is none yet; names the command.
    """
    found = label_of(opened.decisions, person.id)
    if found is None:
        raise InputError(
            f"{person.called} has no trigger yet. Give one: "
            + opened.vault.command(f'label {person.id} --trigger "ohwx {person.name or "person"}" --class woman')
        )
    return found


def _name(decisions: DecisionLog, person: Person) -> str | None:
    """The name that was said last: people.json may be older."""
    said = [made.data["name"] for made in decisions.active("name") if made.data["person"] == person.id]
    return str(said[-1]) if said else person.name


def head_of(label: Label, style: str) -> str:
    """What captions and prompts begin with: the trigger, and the class word unless the trigger says it already.

    In tags the class word is ``1girl`` or ``1boy``, or itself where it can be a tag; `words.head` adds ``solo``.
    """
    if label.class_word.casefold() in {
        word.casefold() for part in parts_of(label.trigger) for word in (part, *part.split())
    }:
        return label.trigger
    if style not in words.TAGGED:
        return f"{label.trigger} {label.class_word}"
    sex = [tag for tag in count_tags(label.trigger, label.class_word) if tag != "solo"]
    said = sex or ([] if plain(label.class_word) in _NO_TAGS else [label.class_word])
    return ", ".join((label.trigger, *said))


_NO_TAGS = ("person", "character", "human", "people", "woman", "girl", "man", "boy")
"""Class words that no base was taught as a tag."""


def label_json(label: Label) -> dict[str, Any]:
    return {
        "person": label.person,
        "trigger": label.trigger,
        "class_word": label.class_word,
        "consent": label.consent.to_json(),
    }


def label_from_json(data: Mapping[str, Any]) -> Label:
    return Label(str(data["person"]), str(data["trigger"]), str(data["class_word"]), Consent.from_json(data["consent"]))


def _consent_problems(consent: Consent) -> list[str]:
    found = []
    if consent.kind is None and (consent.who or consent.when or consent.scope):
        found.append(f"who, when and scope need a kind of consent: {', '.join(Consent.KINDS)}")
    if consent.kind is not None and consent.kind not in Consent.KINDS:
        found.append(f"'{consent.kind}' is no kind of consent; known: {', '.join(Consent.KINDS)}")
    if consent.when and not _is_date(consent.when):
        found.append(f"the date '{consent.when}' is not of the form YYYY-MM-DD")
    return found


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _consent_warnings(consent: Consent) -> tuple[str, ...]:
    if consent.kind is None:
        return (
            (
                "no consent is recorded; the person's record and every LoRA will say 'not recorded'. "
                f"Record it with --consent {', '.join(Consent.KINDS[:-1])} or {Consent.KINDS[-1]}"
            ),
        )
    lacking = [
        name
        for name, value in (("who gave it", consent.who), ("when", consent.when), ("for what", consent.scope))
        if not value
    ]
    if lacking and consent.kind in ("written", "licence"):
        return (f"the consent does not say {', '.join(lacking)}: later nobody can tell what it covered",)
    return ()
