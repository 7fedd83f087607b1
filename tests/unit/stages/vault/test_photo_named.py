"""A photo is named by its path, or by a name that only one photo has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.stages.vault.people.makers import album, clustered, made_photo, sha_of, vault_of
from twinloop.errors import InputError
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.faces_meant import FacesMeant
from twinloop.stages.vault.photo_named import photo_named
from twinloop.store.vault.files import FileEntry

FACES = album(1, 4, "a")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[OpenVault]:
    """Four photos of a person; elsewhere a photo without a face that is called as the first, and one with a longer
    name.
    """
    others = [
        replace(made_photo(name, []), paths=(f"/elsewhere/{path}",))
        for name, path in (("bare", "a0.jpg"), ("longer", "xa1.jpg"))
    ]
    with vault_of(tmp_path, [*FACES, *others]) as opened:
        yield opened


def test_a_name_that_one_photo_has(opened: OpenVault) -> None:
    found = photo_named(opened, Path("a1.jpg"))
    assert (str(found.path), found.sha256) == (FACES[1].paths[0], FACES[1].sha256)
    assert photo_named(opened, Path("/elsewhere/a0.jpg")).sha256 == sha_of("bare")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a0.jpg", "is the name of 2 photos"),
        ("1.jpg", "is not a photo"),
        ("elsewhere/a0.jpg", "is not a photo"),
        ("%.jpg", "is not a photo"),
    ],
)
def test_what_is_no_name_of_one_photo(opened: OpenVault, name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        photo_named(opened, Path(name))


def test_a_file_that_was_skipped_is_not_meant_by_its_name(opened: OpenVault) -> None:
    opened.catalog.files.put(FileEntry(Path("/broken/a1.jpg"), 1, 1, sha_of("broken"), "is damaged"))
    assert photo_named(opened, Path("a1.jpg")).sha256 == FACES[1].sha256
    with pytest.raises(InputError, match="was skipped by the scan: it is damaged"):
        photo_named(opened, Path("/broken/a1.jpg"))


def test_where_faces_are_meant_a_photo_without_any_is_not(opened: OpenVault) -> None:
    people = clustered(opened).people
    (person,) = people.persons
    meant = FacesMeant(opened, people)
    assert meant.for_person(person, [Path("a0.jpg")]) == [FACES[0].key(0)]
    with pytest.raises(InputError, match="No face was found"):
        meant.for_person(person, [Path("xa1.jpg")])
