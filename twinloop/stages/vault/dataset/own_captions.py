"""The user's own captions: decisions, which win over everything measured until they are taken back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from twinloop.domain.captions import one_line, with_trigger
from twinloop.domain.vault import Label, Person, VaultPhoto
from twinloop.errors import InputError
from twinloop.stages.vault.copies.of_person import Alike, alike_in
from twinloop.stages.vault.dataset.folder.owner import read_record
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.membership import ids_merged_into
from twinloop.store.pictures.sidecar import caption_beside
from twinloop.store.vault.decisions import DecisionLog


def edits_of(decisions: DecisionLog, person_id: str, alike: Alike | None = None) -> dict[str, str]:
    """sha256 of the photo (of each photo of its shot) -> the user's own caption, also of who was merged into this
    person.

    The words of the last standing decision count; empty ones give the caption back.

    Args:
        alike: copies of one picture: a photo of which nothing was said has the last words that were said of a copy.
    """
    ids = ids_merged_into(decisions.active("merge"), person_id)
    said: dict[str, tuple[int, str]] = {}
    for made in decisions.active("caption", "captions"):
        if made.data["person"] in ids:
            texts = {made.data["sha256"]: made.data["text"]} if made.kind == "caption" else made.data["texts"]
            for sha256, text in texts.items():
                said.update(dict.fromkeys(decisions.same_shot.of(sha256), (made.number, text)))
    found = {sha256: text for sha256, (_, text) in said.items()}
    for sha256, copies in (alike or {}).items():
        if sha256 not in said:
            found[sha256] = max((said[copy] for copy in copies if copy in said and said[copy][1]), default=(0, ""))[1]
    return {sha256: text for sha256, text in found.items() if text}


def as_written(label: Label, text: str) -> str:
    """A caption of the user's as it is written down: on one line, with the trigger. "" = back to the measured one."""
    words_given = one_line(text)
    return with_trigger(words_given, label.trigger) if words_given else ""


def beside(photo: VaultPhoto, label: Label) -> str | None:
    """The caption that lies in a file beside a photo (``a.txt`` of ``a.png``, say), with the trigger; None = there is
    none.
    """
    said = (caption_beside(Path(path)) for path in photo.paths)
    return next((as_written(label, text) for text in said if text), None)


def beside_copies(opened: OpenVault, photos: Iterable[str], label: Label) -> tuple[str, VaultPhoto] | None:
    """The first caption in a file beside one of these photos (sha256), and the photo; None = there is none."""
    for sha256 in photos:
        photo = opened.catalog.photo(sha256, opened.fingerprint)
        text = None if photo is None else beside(photo, label)
        if photo is not None and text:
            return text, photo
    return None


def edit(opened: OpenVault, label: Label, sha256: str, text: str) -> str:
    """Write the user's own caption of a photo down; returns it. "" = back to the measured one."""
    edit_many(opened, label, {sha256: text})
    return as_written(label, text)


def edit_many(opened: OpenVault, label: Label, texts: Mapping[str, str], as_is: bool = False) -> dict[str, str]:
    """Several captions as one decision, which is undone as one; returns what was written, by photo.

    Texts as in `edit`.

    Args:
        as_is: leave them without the trigger, where that is missing: the words lie in files of the user's.
    """
    full = {sha256: one_line(text) if as_is else as_written(label, text) for sha256, text in texts.items()}
    changed = _new(opened, label, full)
    if len(changed) == 1:
        sha256, text = next(iter(changed.items()))
        opened.decisions.add("caption", {"person": label.person, "sha256": sha256, "text": text})
    elif changed:
        opened.decisions.add("captions", {"person": label.person, "texts": changed})
    return changed


def _new(opened: OpenVault, label: Label, texts: Mapping[str, str]) -> dict[str, str]:
    """The captions that are not yet what stands of the photo itself; "" must also take back what a copy of it says.
    Each counts as said after those before it.
    """
    if not texts:
        return {}
    own = shared = edits_of(opened.decisions, label.person)
    alike: Alike = {}
    if not all(texts.values()):
        alike = alike_in(opened.vault)
        shared = edits_of(opened.decisions, label.person, alike)
    now: dict[str, str] = {}
    changed = {}
    for sha256, text in texts.items():
        stands = now.get(sha256, (own if text else shared).get(sha256, ""))
        if stands != text or (not text and any(now.get(copy) for copy in alike.get(sha256, ()))):
            changed[sha256] = text
            now.update(dict.fromkeys(opened.decisions.same_shot.of(sha256), text))
    return changed


def photo_meant(opened: OpenVault, person: Person, name: str) -> str:
    """sha256 of the photo that the user means by a path, a file's name (of the photo or of its prepared picture), or 8
    digits of its hash.

    Raises:
        InputError: none or several are meant.
    """
    record = opened.vault.person_record(person.folder_name)
    prepared = read_record(record) if record.is_file() else {}
    pictures = prepared.get("pictures", ()) if isinstance(prepared, dict) else ()
    known = [(key.sha256, path) for key in person.faces for path in _paths(opened, key.sha256)]
    known += [(item["source"]["sha256"], (record.parent / item["file"]).as_posix()) for item in pictures]
    name = name and Path(name).as_posix()
    hits = {
        photo
        for photo, path in known
        if path in (name, Path(os.path.abspath(name)).as_posix()) or (len(name) >= 8 and photo.startswith(name.lower()))
    }
    hits = hits or {photo for photo, path in known if path.endswith(f"/{name}")}
    if len(hits) != 1:
        raise InputError(
            f"'{name}' names {'none' if not hits else len(hits)} of this person's photos. Name one by its path, as"
            " --list shows it."
        )
    return hits.pop()


def _paths(opened: OpenVault, sha256: str) -> tuple[str, ...]:
    photo = opened.catalog.photo(sha256, opened.fingerprint)
    return photo.paths if photo is not None else ()
