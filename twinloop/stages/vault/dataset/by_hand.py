"""Which photos of a person the user leaves out of the training set, or takes in, by hand.

Both are decisions, and can be undone. Of several about one photo the last one counts. They hold for the shot: for a raw
photo and for the JPEG beside it (`SameShot`). And they hold for the picture: for copies of the photo of which nothing
else is said; but who leaves out what a better copy stood for anyway, does not mean the better one.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twinloop.domain.vault import Decision, Person
from twinloop.domain.wording import plural
from twinloop.errors import InputError, NothingToDo
from twinloop.stages.vault.copies.edits import chosen
from twinloop.stages.vault.copies.of_person import Alike, alike_in
from twinloop.stages.vault.dataset.folder import location
from twinloop.stages.vault.dataset.folder.carried import unavailable
from twinloop.stages.vault.dataset.folder.outside import folders_outside
from twinloop.stages.vault.dataset.folder.owner import owner_of, read_record
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.membership import ids_merged_into
from twinloop.stages.vault.photo_named import photo_named
from twinloop.store.pictures.sidecar import PERSON
from twinloop.store.vault.decisions import DecisionLog

EXCLUDE, INCLUDE, AUTOMATIC = "exclude", "include", "automatic"
KINDS = (EXCLUDE, INCLUDE, AUTOMATIC)
"""Kinds of decisions about single photos; the last one gives the choice back to `prep`."""
STANDS = {EXCLUDE: "left out by hand", INCLUDE: "taken in by hand", AUTOMATIC: "chosen automatically"}


@dataclass(frozen=True)
class ByHand:
    """What stands, as sha256 of the person's photos.

    Attributes:
        copies_out, copies_in: photo of which nothing is said -> the copy of it that is left out, or taken in.
        in_any_form: those of ``left_out`` that no better copy stood for: better ones that come later stay out, too.
    """

    left_out: frozenset[str] = frozenset()
    taken_in: frozenset[str] = frozenset()
    copies_out: Mapping[str, str] = field(default_factory=dict)
    copies_in: Mapping[str, str] = field(default_factory=dict)
    in_any_form: frozenset[str] = frozenset()

    def of(self, sha256: str) -> str:
        """The kind of the decision that stands about a photo."""
        return EXCLUDE if sha256 in self.left_out else INCLUDE if sha256 in self.taken_in else AUTOMATIC

    def to_json(self) -> dict[str, list[str]]:
        return {
            "left_out": sorted(self.left_out),
            "taken_in": sorted(self.taken_in),
            "copies": sorted({*self.copies_out, *self.copies_in}),
            "in_any_form": sorted(self.in_any_form),
        }


@dataclass(frozen=True)
class _Said:
    """What was said last of a photo.

    Attributes:
        number: of the decision; a later one has a higher number.
        worse: whether a better copy stood for the photo when it was said; None = not on record.
    """

    number: int
    kind: str
    worse: bool | None


def by_hand(
    decisions: DecisionLog,
    person: Person,
    alike: Alike,
    prepared: Mapping[str, Any],
    gone: Collection[str] = frozenset(),
) -> ByHand:
    """What stands about the person's photos, also what was said of who was merged into this person.

    Args:
        alike: copies of one picture; what is said of one holds for those of which nothing is said, or was said before
            that prep decides; but one that was kept instead of another is not left out with that.
        prepared: the person's ``person.json``, {} before `prep`: it tells of older decisions whether the photo was in
            the training set.
        gone: photos that are no longer there, of which there are pictures.
    """
    said = _said(decisions, person)
    mine = {key.sha256 for key in person.faces}.union(gone)
    left_out, taken_in = (
        frozenset(photo for photo in mine if photo in said and said[photo].kind == kind) for kind in (EXCLUDE, INCLUDE)
    )
    pictured = _pictured(decisions, prepared)
    noted = decisions.same_shot.all_of(prepared.get("by_hand", {}).get("in_any_form", ())) | pictured
    in_any_form = _in_any_form(said, noted, mine, alike)

    def meant(copy: str, photo: str) -> bool:
        """Whether who left out the copy meant this photo, too."""
        is_below = alike[photo].index(copy) < alike[photo].index(photo)
        if copy in in_any_form:
            return is_below or photo not in pictured
        return is_below and photo not in pictured

    free = mine - left_out - taken_in
    copies_out = _reaching(free - chosen(decisions).keys(), EXCLUDE, said, alike)
    copies_in = _reaching(free, INCLUDE, said, alike)
    return ByHand(
        left_out,
        taken_in,
        _last({photo: [copy for copy in copies if meant(copy, photo)] for photo, copies in copies_out.items()}, said),
        _last(copies_in, said),
        left_out & in_any_form,
    )


def _said(decisions: DecisionLog, person: Person) -> dict[str, _Said]:
    """Photo -> what was said last of it, for this person or for who was merged into this person."""
    ids, shots = ids_merged_into(decisions.active("merge"), person.id), decisions.same_shot
    said: dict[str, _Said] = {}
    for made in decisions.active(*KINDS):
        if made.data["person"] in ids:
            known = made.data.get("worse")
            worse = shots.all_of(known or ())
            said |= {
                photo: _Said(made.number, made.kind, None if known is None else photo in worse)
                for photo in shots.all_of(made.data["photos"])
            }
    return said


def _in_any_form(
    said: Mapping[str, _Said], noted: Collection[str], mine: Collection[str], alike: Alike
) -> frozenset[str]:
    """Photos that were left out and that no better copy stood for.

    Args:
        noted: of which the training set tells that. mine: photos of the person.
    """
    return frozenset(
        photo
        for photo, last in said.items()
        if last.kind == EXCLUDE
        and (photo in noted or _is_first(photo, mine, alike) if last.worse is None else not last.worse)
    )


def _reaching(photos: Collection[str], kind: str, said: Mapping[str, _Said], alike: Alike) -> dict[str, list[str]]:
    """Photo -> the copies of it, the best first, of which this was said after anything that was said of the photo."""
    since = {photo: said[photo].number if photo in said else 0 for photo in photos}
    return {
        photo: [
            copy
            for copy in alike.get(photo, ())
            if copy in said and said[copy].kind == kind and said[copy].number > since[photo]
        ]
        for photo in photos
    }


def _last(reaching: Mapping[str, Sequence[str]], said: Mapping[str, _Said]) -> dict[str, str]:
    """Photo -> the one of these copies of which something was said last; of several at once, the best."""
    return {photo: max(copies, key=lambda copy: said[copy].number) for photo, copies in reaching.items() if copies}


def _pictured(decisions: DecisionLog, prepared: Mapping[str, Any]) -> frozenset[str]:
    """sha256 of the photos of which the training set has pictures."""
    return decisions.same_shot.all_of(item["source"]["sha256"] for item in prepared.get("pictures", ()))


def _is_first(photo: str, mine: Collection[str], alike: Alike) -> bool:
    """Whether no better copy with the person is known; False where copies are not known at all."""
    return bool(alike) and not _better(photo, mine, alike)


def _better(photo: str, mine: Collection[str], alike: Alike) -> bool:
    """Whether a better copy of a photo is one of these."""
    return any(copy in mine for copy in itertools.takewhile(lambda copy: copy != photo, alike.get(photo, ())))


def say(opened: OpenVault, person: Person, kind: str, photos: Sequence[str]) -> Decision:
    """Write down what is said of these photos (sha256).

    Raises:
        InputError: an unknown kind, no photo, or one that does not show the person. NothingToDo: it stands already.
    """
    if kind not in KINDS:
        raise InputError(f"Unknown choice '{kind}'. Known: {', '.join(KINDS)}.")
    mine, gone = {key.sha256 for key in person.faces}, gone_photos(opened, person)
    if not photos or not mine.union(gone).issuperset(photos):
        raise InputError(f"Name photos with a face of {person.called}.")
    prepared = prepared_record(opened, person)
    alike = alike_in(opened.vault)
    standing = by_hand(opened.decisions, person, alike, prepared, gone)
    through_copies = {*standing.copies_out, *standing.copies_in} if kind == AUTOMATIC else set()
    changed = sorted({sha256 for sha256 in photos if standing.of(sha256) != kind or sha256 in through_copies})
    if not changed:
        which = plural(len(set(photos)), "photo is", "photos are")
        raise NothingToDo(f"{which} {STANDS[kind]} already; nothing changed.")
    data: dict[str, Any] = {"person": person.id, "photos": changed}
    if kind == EXCLUDE:
        pictured = _pictured(opened.decisions, prepared)
        data["worse"] = [photo for photo in changed if photo not in pictured and _better(photo, mine, alike)]
    return opened.decisions.add(kind, data)


def photos_meant(opened: OpenVault, person: Person, files: Sequence[Path]) -> list[str]:
    """sha256 of the person's photos in these files: the photos themselves, or pictures that were prepared from them.

    Raises:
        InputError: a file that is no photo of the vault, or one without a face of the person.
    """
    root = location.found(opened, person).root
    records = {root: prepared_record(opened, person), **records_outside(opened, person)}
    sources = {
        os.path.abspath(folder / item["file"]): str(item["photo"])
        for folder, record in records.items()
        for item in record.get("files", ())
        if item["photo"]
    }
    return list(dict.fromkeys(_photo_meant(opened, person, file, sources) for file in files))


def gone_photos(opened: OpenVault, person: Person) -> frozenset[str]:
    """sha256 of the photos that are no longer there nor known as the person's, of which there are pictures."""
    records = (prepared_record(opened, person), *records_outside(opened, person).values())
    return frozenset().union(*(_gone_of(opened, person, record) for record in records))


def _gone_of(opened: OpenVault, person: Person, prepared: Mapping[str, Any]) -> frozenset[str]:
    """The same, of which one training set has pictures."""
    return _unavailable_of(opened, prepared) - {key.sha256 for key in person.faces}


def pictures_of_gone(opened: OpenVault, person: Person) -> frozenset[str]:
    """sha256 of the photos that are no longer there, of which the training set has pictures."""
    return _unavailable_of(opened, prepared_record(opened, person))


def _unavailable_of(opened: OpenVault, prepared: Mapping[str, Any]) -> frozenset[str]:
    return unavailable(opened, {str(item["photo"]) for item in prepared.get("files", ())} - {""})


def _photo_meant(opened: OpenVault, person: Person, file: Path, sources: Mapping[str, str]) -> str:
    mine = {key.sha256 for key in person.faces}
    if found := _source_meant(opened, mine, sources.get(os.path.abspath(file), "")):
        return found
    try:
        named = photo_named(opened, file, mine)
    except InputError:  # a picture is called as `prep` called it; a path that is not known is a mistake
        bare = file.name == os.fspath(file)
        pictures = {Path(picture).name: source for picture, source in sources.items()} if bare else {}
        if found := _source_meant(opened, mine, pictures.get(file.name, "")):
            return found
        raise
    if named.sha256 not in mine:
        raise InputError(
            f"{file} has no face of {person.called}, so it cannot be in this training set. If the person is on it:"
            f" {opened.vault.command(f'assign {person.id} FILE')}"
        )
    return named.sha256


def _source_meant(opened: OpenVault, mine: Set[str], source: str) -> str:
    """The photo of the person from which a picture was prepared, or the one that its shot has now; "" = none."""
    if not source or (source not in mine and unavailable(opened, {source})):
        return source
    of_shot = mine & opened.decisions.same_shot.of(source)
    return source if source in mine else min(of_shot, default="")


def prepared_record(opened: OpenVault, person: Person) -> dict[str, Any]:
    """The ``person.json`` of the person's training set; {} before `prep`."""
    path = location.found(opened, person).root / PERSON
    return read_record(path) if path.is_file() and owner_of(path.parent) == person.id else {}


def records_outside(opened: OpenVault, person: Person) -> dict[Path, dict[str, Any]]:
    """The ``person.json`` of each finished training set of the person that lies outside of the vault, by its folder."""
    folders = folders_outside(opened.vault, {person.id})
    return {folder: read_record(folder / PERSON) for folder in folders if (folder / PERSON).is_file()}


def behind_outside(opened: OpenVault, person: Person) -> dict[str, int]:
    """Folder of a training set outside of the vault -> as `chosen_since`, where that is not 0."""
    counts = {
        os.fspath(folder): chosen_since(opened, person, record)
        for folder, record in records_outside(opened, person).items()
    }
    return {folder: count for folder, count in counts.items() if count}


def chosen_since(opened: OpenVault, person: Person, prepared: Mapping[str, Any]) -> int:
    """Of how many photos something else is said than when the training set was prepared.

    Args:
        prepared: the person's ``person.json``; {} before `prep`, when nothing can be behind.
    """
    if not prepared:
        return 0
    before, shots = prepared.get("by_hand", {}), opened.decisions.same_shot
    pictured = _pictured(opened.decisions, prepared)
    then = ByHand(shots.all_of(before.get("left_out", ())), shots.all_of(before.get("taken_in", ())))
    gone = _gone_of(opened, person, prepared)
    now = by_hand(opened.decisions, person, _alike_for(opened, prepared), prepared, gone)
    # copies that a scan brought in since are no choice, unless prep would remove their pictures
    changed = shots.all_of(before.get("copies", ())) - {*now.copies_out, *now.copies_in}
    changed |= pictured.intersection(now.copies_out)
    photos = {key.sha256 for key in person.faces} | gone
    return sum(then.of(photo) != now.of(photo) or photo in changed for photo in photos)


def _alike_for(opened: OpenVault, prepared: Mapping[str, Any]) -> Alike:
    """Copies of one picture; none where the training set was prepared with all of them."""
    return {} if prepared.get("cutting", {}).get("keep_alike") else alike_in(opened.vault)
