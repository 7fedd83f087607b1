"""people.json: who is who.

What was found lies in the file; what the user decided is applied on top each time it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from twinloop.domain.names import folded
from twinloop.domain.vault import Decision, FaceKey, Person
from twinloop.domain.wording import plural
from twinloop.errors import InputError, NothingToDo, StateError
from twinloop.stages.vault.people.called import InPhotos, in_photos
from twinloop.stages.vault.people.membership import APPLIED, Membership, id_of, number_of
from twinloop.store.atomic import read_as, read_json, write_json
from twinloop.store.vault.decisions import DecisionLog
from twinloop.store.vault.folder import Vault

VERSION = 1
_NOBODY = "-"


@dataclass(frozen=True)
class Moved:
    """Where a face went for its likeness to decided ones. person: None = to the strangers. decision: its number; undone
    with it.
    """

    person: str | None
    decision: int


@dataclass(frozen=True, kw_only=True)
class Found:
    """What clustering found, before any decision.

    Attributes:
        groups: faces by id. strangers: the faces of nobody.
        moved: faces that came after a decision and went where the decided ones are that they are like.
        last: the highest number that an id ever had. fingerprint: of what measured the faces.
        limit: cosine from which faces were of one person. chosen: the user's own one, or None. min_faces: that make a
            person.
        inputs: hash of all that this follows from, so that nothing is done twice.
        named: what photo programs called faces; nobody has such a name before the user says so.
    """

    groups: Mapping[str, tuple[FaceKey, ...]]
    strangers: tuple[FaceKey, ...]
    last: int
    fingerprint: str
    limit: float
    chosen: float | None
    min_faces: int
    inputs: str
    moved: Mapping[FaceKey, Moved] = field(default_factory=dict)
    named: Mapping[FaceKey, str] = field(default_factory=dict)


@dataclass(frozen=True)
class People:
    """Who is who.

    Attributes:
        persons: by id, hidden ones too. strangers: faces of nobody. merged: ids that were merged -> the person they are
            now.
    """

    persons: tuple[Person, ...]
    strangers: tuple[FaceKey, ...]
    found: Found
    merged: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        return self.found.fingerprint

    @property
    def limit(self) -> float:
        return self.found.limit

    def person_of(self, key: FaceKey) -> Person | None:
        """Who a face belongs to."""
        return next((person for person in self.persons if key in person.faces), None)

    def in_photos(self, person: Person) -> InPhotos:
        """What photo programs called the faces of a person."""
        return in_photos(person.faces, self.found.named)

    def called_in_photos(self, name: str) -> list[Person]:
        """Whom photo programs call so, of those without a name from the user; hidden people left out."""
        free = (person for person in self.persons if person.name is None and not person.hidden)
        return [person for person in free if self.in_photos(person).is_called(name)]

    def called_otherwise(self, name: str) -> list[Person]:
        """Whom photo programs call so, of those whom the user named or hid."""
        others = (person for person in self.persons if person.name is not None or person.hidden)
        return [person for person in others if self.in_photos(person).is_called(name)]


def read_people(vault: Vault) -> People:
    """The people as they are now, decisions applied.

    Raises:
        NothingToDo: nothing was clustered yet; names the command. StateError: people.json is damaged.
    """
    found = read_found(vault)
    if found is None:
        raise NothingToDo(f"Nobody was told apart in {vault.root} yet. First: {vault.command('cluster')}")
    return people_of(found, DecisionLog(vault.decisions, reading=True).active(*APPLIED))


def check_current(vault: Vault, fingerprint: str) -> None:
    """Raises StateError: the photos were scanned with other models since people were told apart.

    ``fingerprint``: of the scan.
    """
    found = read_found(vault)
    if found is not None and found.fingerprint != fingerprint:
        raise StateError(stale(vault))


def stale(vault: Vault) -> str:
    """What is said where other models looked since people were told apart."""
    return f"The photos were scanned with other models since people were told apart. First: {vault.command('cluster')}"


def people_of(found: Found, decisions: Iterable[Decision]) -> People:
    """Decisions on top of what was found."""
    decided = list(decisions)
    membership = Membership(found.groups, found.strangers)
    membership.apply(decided)
    standing = {made.number for made in decided}
    merged = _merged(decided)
    following = {key: to.person for key, to in found.moved.items() if to.decision in standing}
    membership.follow({key: merged.get(person or "", person) for key, person in following.items()})
    persons, strangers = membership.people()
    return People(persons, strangers, found, merged)


def _merged(decisions: Iterable[Decision]) -> dict[str, str]:
    """Ids that were merged -> the person they are now."""
    merged: dict[str, str] = {}
    for made in decisions:
        if made.kind == "merge":
            gone, into = made.data["people"], made.data["into"]
            merged = {old: into if now in gone else now for old, now in merged.items()} | dict.fromkeys(gone, into)
    return merged


def find_person(people: People, text: str) -> Person:
    """The person of that id (also one that was merged into another) or name, whatever its case and however its letters
    are composed. Where nobody was given the name, the one whom photo programs call so.

    Raises:
        InputError: nobody, or several, are called that; lists the known ones.
    """
    wanted = folded(text)
    by_id = {person.id: person for person in people.persons}
    known = by_id.get(wanted) or by_id.get(people.merged.get(wanted, ""))
    if known is not None:
        return known
    named = [person for person in people.persons if person.name is not None and folded(person.name) == wanted]
    if len(named) == 1:
        return named[0]
    if named:
        raise InputError(
            f"{len(named)} people are called '{text}': {', '.join(person.id for person in named)}. Say which by the id,"
            " or merge them."
        )
    called = people.called_in_photos(text)
    if len(called) == 1:
        return called[0]
    if called:
        raise InputError(several_called(people, called, text))
    others = people.called_otherwise(text)
    instead = f" {otherwise_called(people, others, text)}" if others else ""
    raise InputError(f"Nobody is called '{text}'.{instead} Known: {_listed(people)}.")


def otherwise_called(people: People, others: Sequence[Person], name: str) -> str:
    """Who has this name in photo programs, and what the user said of them instead."""
    said = (
        f"{person.id}, who is {f'called {person.name}' if person.name else 'hidden'}"
        f" ({plural(people.in_photos(person).faces, 'face')})"
        for person in others
    )
    return f"In your photos '{name}' is {'; '.join(said)}."


def several_called(people: People, called: Sequence[Person], name: str) -> str:
    """That several people have this name in photo programs, and what to do."""
    who = ", ".join(f"{person.id} ({plural(people.in_photos(person).faces, 'face')})" for person in called)
    return (
        f"{len(called)} people are called '{name}' in your photos: {who}. If they are one person: twinloop vault merge"
        f" {' '.join(person.id for person in called)}. Otherwise say which by the id."
    )


MOST_LISTED = 20
"""People that a message names; of more, it tells how many."""


def _listed(people: People) -> str:
    names = [person.called for person in people.persons]
    left = len(names) - MOST_LISTED
    more = f" and {left} more (twinloop vault clusters)" if left > 0 else ""
    return (", ".join(names[:MOST_LISTED]) + more) or "nobody"


def read_found(vault: Vault) -> Found | None:
    """What the last clustering found; None where there was none.

    Raises:
        StateError: people.json is damaged, or of another version of this program.
    """
    if not vault.people.exists():
        return None

    def parse(data: Any) -> Found:
        if data["version"] != VERSION:
            raise StateError(
                f"{vault.people} is of version {data['version']} of this program's files, not {VERSION}. Use the"
                " version that wrote it."
            )
        return _from_json(data)

    return read_as(vault.people, parse, f"Move it away and run: {vault.command('cluster')}")


def write_people(vault: Vault, people: People) -> bool:
    """Write people.json where it would change; returns whether it did."""
    data = _to_json(people)
    if vault.people.exists() and read_json(vault.people) == data:
        return False
    write_json(vault.people, data, private=True)
    return True


def _to_json(people: People) -> dict[str, Any]:
    """One line per face: photo, box, the group it was found in, the person it is of, and where it was moved for its
    likeness.
    """
    found = people.found
    owner = {key: person.id for person in people.persons for key in person.faces}
    group = {key: name for name, keys in found.groups.items() for key in keys}
    keys = sorted([*group, *found.strangers], key=lambda key: (key.sha256, key.box))
    named = [f"{_place(key)} {found.named[key]}" for key in keys if key in found.named]
    return {
        "version": VERSION,
        "fingerprint": found.fingerprint,
        "inputs": found.inputs,
        "limit": found.limit,
        "chosen": found.chosen,
        "min_faces": found.min_faces,
        "last": found.last,
        "people": [
            {
                "id": person.id,
                "name": person.name,
                "hidden": person.hidden,
                "faces": len(person.faces),
                **({"named_in_photos": said.to_json()} if (said := people.in_photos(person)).counts else {}),
            }
            for person in people.persons
        ],
        "faces": [
            " ".join([_place(key), group.get(key, _NOBODY), owner.get(key, _NOBODY), *_moved(found, key)])
            for key in keys
        ],
        **({"named": named} if named else {}),
    }


def _place(key: FaceKey) -> str:
    return " ".join([key.sha256, *(f"{value:.4f}" for value in key.box)])


def _moved(found: Found, key: FaceKey) -> Iterator[str]:
    if key in found.moved:
        yield found.moved[key].person or _NOBODY
        yield str(found.moved[key].decision)


def _from_json(data: Mapping[str, Any]) -> Found:
    groups: dict[str, list[FaceKey]] = {}
    strangers: list[FaceKey] = []
    moved: dict[FaceKey, Moved] = {}
    for line in data["faces"]:
        fields = line.split(" ")
        key, (group, _, *to) = _key(fields[:5]), fields[5:]
        (strangers if group == _NOBODY else groups.setdefault(group, [])).append(key)
        if to:
            moved[key] = Moved(None if to[0] == _NOBODY else to[0], int(to[1]))
    return Found(
        groups={name: tuple(keys) for name, keys in sorted(groups.items(), key=lambda item: number_of(item[0]))},
        strangers=tuple(strangers),
        last=int(data["last"]),
        fingerprint=str(data["fingerprint"]),
        limit=float(data["limit"]),
        chosen=data["chosen"],
        min_faces=int(data["min_faces"]),
        inputs=str(data["inputs"]),
        moved=moved,
        named={_key(place): name for *place, name in (line.split(" ", 5) for line in data.get("named", ()))},
    )


def _key(place: Sequence[str]) -> FaceKey:
    sha256, x0, y0, x1, y1 = place
    return FaceKey(sha256, (float(x0), float(y0), float(x1), float(y1)))


def next_id(found: Found, decisions: Iterable[Decision]) -> str:
    """An id that nobody ever had, not even by a decision that was undone."""
    return id_of(max([found.last, *used_numbers(decisions)]) + 1)


def used_numbers(decisions: Iterable[Decision]) -> Iterator[int]:
    """The numbers of all people that decisions speak of."""
    for made in decisions:
        for text in (
            *(str(made.data.get(name, "")) for name in ("person", "into", "new")),
            *made.data.get("people", ()),
        ):
            if text[:1] == "p" and text[1:].isdigit():
                yield int(text[1:])
