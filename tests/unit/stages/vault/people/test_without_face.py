"""What became of pictures that nobody has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.stages.vault.people.makers import album, clustered, made_photo, sha_of, strangers, vault_of
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people import edits
from twinloop.stages.vault.people.record import find_person, read_people
from twinloop.stages.vault.people.without_face import account, beside, without_face


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[OpenVault]:
    """p001 on five photos, p002 on three, a stranger, and three pictures without a face."""
    bare = [made_photo(name, []) for name in ("back.png", "chibi.png", "hand.png")]
    photos = [*album(1, 5, "a"), *album(2, 3, "b"), made_photo("who.jpg", [strangers(1)[0]]), *bare]
    with vault_of(tmp_path, photos) as opened:
        clustered(opened)
        yield opened


def test_pictures_without_a_face_are_listed_until_somebody_has_them(mixed: OpenVault) -> None:
    people = read_people(mixed.vault)
    assert list(without_face(mixed, people).values()) == ["/photos/back.png", "/photos/chibi.png", "/photos/hand.png"]
    assert list(without_face(mixed, None)) == [sha_of(name) for name in ("back.png", "chibi.png", "hand.png")]
    people = edits.assign_pictures(mixed, "p001", [Path("chibi.png")]).people
    assert list(without_face(mixed, people).values()) == ["/photos/back.png", "/photos/hand.png"]


def test_only_those_in_the_same_folders_are_beside_a_person(mixed: OpenVault) -> None:
    people = read_people(mixed.vault)
    assert len(beside(mixed, people, ["/photos/a0.jpg"])) == 3
    assert beside(mixed, people, ["/elsewhere/a0.jpg"]) == ()


def test_where_somebody_was_forgotten_no_face_is_missed(mixed: OpenVault) -> None:
    faces = [{"sha256": sha_of("back.png"), "box": [0.1, 0.1, 0.4, 0.5]}]
    mixed.decisions.add("forget", {"person": "p009", "faces": faces, "kept": True})
    assert sha_of("back.png") not in without_face(mixed, None)


def test_the_account_adds_up(mixed: OpenVault) -> None:
    people = read_people(mixed.vault)
    person = find_person(people, "p001")
    used = {key.sha256 for key in person.faces[:4]}
    found = account(mixed, people, person, used, [Path("/photos")])
    assert found.to_json() == {
        "photos": 12, "used": 4, "left_out": 1, "without_face": 3, "elsewhere": {"p002": 3, "strangers": 1},
        "forgotten": 0,
    }  # fmt: skip
    assert found.used + found.left_out + found.without_face + sum(found.elsewhere.values()) == found.photos
    assert account(mixed, people, person, used, []) == found, "no folder named: all of the vault"
    assert account(mixed, people, person, used, [Path("/elsewhere")]).photos == 0


def test_whole_pictures_of_others_and_of_the_forgotten_are_in_the_account(mixed: OpenVault) -> None:
    people = edits.assign_pictures(mixed, "p002", [Path("chibi.png"), Path("who.jpg")]).people
    faces = [{"sha256": sha_of("back.png"), "box": [0.1, 0.1, 0.4, 0.5]}]
    mixed.decisions.add("forget", {"person": "p009", "faces": faces, "kept": True})
    person = find_person(people, "p001")
    found = account(mixed, people, person, {key.sha256 for key in person.faces}, [Path("/photos")])
    assert found.to_json() == {
        "photos": 12, "used": 5, "left_out": 0, "without_face": 1, "elsewhere": {"p002": 5}, "forgotten": 1,
    }  # fmt: skip
