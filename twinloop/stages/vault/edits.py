"""The user's own captions: decisions, which win over everything measured until they are taken back."""

from __future__ import annotations

import os

from twinloop.domain.captions import one_line, with_trigger
from twinloop.domain.vault import Label, Person
from twinloop.errors import InputError
from twinloop.stages.vault.opened import OpenVault
from twinloop.store.atomic import read_json
from twinloop.store.decisions import DecisionLog


def edits_of(decisions: DecisionLog, person_id: str) -> dict[str, str]:
    """sha256 of the photo -> the user's own caption. The words of the last standing decision count; empty ones give the caption back."""
    said = {
        made.data["sha256"]: str(made.data["text"]) for made in decisions.active("caption") if made.data["person"] == person_id
    }
    return {sha256: text for sha256, text in said.items() if text}


def edit(opened: OpenVault, label: Label, sha256: str, text: str, as_is: bool = False) -> str:
    """Write the user's own caption of a photo down; returns it. "" = back to the measured one.

    Args:
        as_is: leave it without the trigger, where that is missing: the words lie in a file of the user's.
    """
    words_given = one_line(text)
    full = with_trigger(words_given, label.trigger) if words_given and not as_is else words_given
    if edits_of(opened.decisions, label.person).get(sha256, "") != full:
        opened.decisions.add("caption", {"person": label.person, "sha256": sha256, "text": full})
    return full


def photo_meant(opened: OpenVault, person: Person, name: str) -> str:
    """sha256 of the photo that the user means by a path, a file's name (of the photo or of its prepared picture), or 8 digits of its hash.

    Raises:
        InputError: none or several are meant.
    """
    record = opened.vault.person_record(person.name or person.id)
    prepared = read_json(record).get("pictures", ()) if record.is_file() else ()
    known = [(key.sha256, path) for key in person.faces for path in _paths(opened, key.sha256)]
    known += [(item["source"]["sha256"], str(record.parent / item["file"])) for item in prepared]
    hits = {
        photo
        for photo, path in known
        if path in (name, os.path.abspath(name)) or (len(name) >= 8 and photo.startswith(name.lower()))
    }
    hits = hits or {photo for photo, path in known if path.endswith(f"/{name}")}
    if len(hits) != 1:
        raise InputError(
            f"'{name}' names {'none' if not hits else len(hits)} of this person's photos. Name one by its path, as --list shows it."
        )
    return hits.pop()


def _paths(opened: OpenVault, sha256: str) -> tuple[str, ...]:
    photo = opened.catalog.photo(sha256, opened.fingerprint)
    return photo.paths if photo is not None else ()
