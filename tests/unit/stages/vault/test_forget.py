"""What is forgotten is gone from every file of the vault, and no later scan brings it back; the photos themselves stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.stages.vault.makers import fake_vault
from twinloop.domain.vault import FaceKey, Person
from twinloop.errors import InputError
from twinloop.stages.vault.duplicates import DuplicateFile, DuplicateGroup, Duplicates, read_duplicates
from twinloop.stages.vault.forget import forget_everything, forget_person, forgotten_faces
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people import Found, find_person, people_of, read_people, write_people
from twinloop.store.atomic import write_json
from twinloop.store.decisions import REDACTED


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[tuple[OpenVault, Person]]:
    """Two people: p001 (Zaphodia) with seven photos, p002 with three."""
    with fake_vault(tmp_path) as (opened, person):
        keys = person.faces
        found = Found({"p001": keys[:7], "p002": keys[7:]}, (), 2, "test", 0.5, None, 3, "inputs")
        opened.decisions.add("name", {"person": "p001", "name": "Zaphodia"})
        opened.decisions.add("name", {"person": "p002", "name": "Trillian"})
        opened.decisions.add(
            "label",
            {
                "person": "p001",
                "trigger": "zphd woman",
                "class_word": "woman",
                "consent": {"kind": "written", "who": "Zaphodia"},
            },
        )
        opened.decisions.add("caption", {"person": "p001", "sha256": keys[0].sha256, "text": "Zaphodia at sea"})
        write_people(opened.vault, people_of(found, opened.decisions.active()))
        for name, who in (("Zaphodia", "p001"), ("old name", "p001"), ("Trillian", "p002")):
            write_json(opened.vault.root / "organized" / name / "person.json", {"person": who})
        write_json(opened.vault.captions("p001"), {"text": "Zaphodia"})
        opened.vault.crops.write_bytes(b"Zaphodia")
        yield opened, find_person(read_people(opened.vault), "zaphodia")


def faces(opened: OpenVault) -> list[FaceKey]:
    return list(opened.catalog.faces("test").keys)


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_without_really_it_only_says_what_would_go(vault: tuple[OpenVault, Person]) -> None:
    opened, person = vault
    before = bytes_of(opened.vault.root)
    planned = forget_person(opened, person, really=False)
    assert (planned.done, planned.faces, planned.decisions) == (False, 7, 3)
    assert {path.name for path in planned.paths} == {"Zaphodia", "old name", "p001.json", "crops.sqlite"}
    assert bytes_of(opened.vault.root) == before


def test_a_person_is_gone_from_every_file(vault: tuple[OpenVault, Person]) -> None:
    opened, person = vault
    embedding = opened.catalog.photo(person.faces[0].sha256, "test").faces[0].face.embedding.tobytes()  # type: ignore[union-attr]
    assert embedding in bytes_of(opened.vault.root)
    photos = {path: path.read_bytes() for path in Path(opened.record.folders[0]).glob("*")}
    done = forget_person(opened, person, really=True)
    assert done.done and len(faces(opened)) == 3
    left = bytes_of(opened.vault.root)
    assert b"Zaphodia" not in left and b"zphd" not in left and embedding not in left
    assert opened.catalog.thumbnail(person.faces[0].sha256) is None
    assert {path: path.read_bytes() for path in photos} == photos


def test_the_others_stay(vault: tuple[OpenVault, Person]) -> None:
    opened, person = vault
    forget_person(opened, person, really=True)
    people = read_people(opened.vault)
    assert [(one.id, one.name, len(one.faces)) for one in people.persons] == [("p002", "Trillian", 3)]
    with pytest.raises(InputError, match="Nobody is called"):
        find_person(people, "p001")
    assert (opened.vault.root / "organized" / "Trillian" / "person.json").is_file()
    assert [made.kind for made in opened.decisions.all()] == [REDACTED, "name", REDACTED, REDACTED, "forget"]


def test_the_places_of_forgotten_faces_are_remembered(vault: tuple[OpenVault, Person]) -> None:
    opened, person = vault
    forget_person(opened, person, really=True)
    assert {key for keys in forgotten_faces(opened.decisions).values() for key in keys} == set(person.faces)


def test_everything_means_everything_of_the_vault_and_nothing_else(tmp_path: Path) -> None:
    with fake_vault(tmp_path) as (opened, _):
        root = opened.vault.root
        opened.decisions.add("hide", {"person": "p001"})
    (root / "mine.txt").write_text("not yours")
    assert not forget_everything(opened.vault, really=False).done and opened.vault.catalog.exists()
    done = forget_everything(opened.vault, really=True)
    assert done.done and {path.name for path in done.paths} >= {"catalog.sqlite", "scan.json", "decisions.jsonl"}
    assert {path.name for path in root.iterdir()} == {"mine.txt", ".lock"}


def test_the_list_of_duplicates_keeps_nothing_of_the_face(vault: tuple[OpenVault, Person]) -> None:
    opened, person = vault
    score = {"face_sharpness": 42.0, "eyes_open": 1.0, "width": 9}
    mine, other = (
        DuplicateFile(f"/{name}.jpg", sha256, True, None, "the larger file", score)
        for name, sha256 in (("a", person.faces[0].sha256), ("b", "0" * 64))
    )
    found = Duplicates(
        (DuplicateGroup("near", "2 copies of one picture", (mine, other)),), 10, 5.0, 2, 2, inputs="as searched"
    )
    write_json(opened.vault.duplicates, found.to_json())
    forget_person(opened, person, really=True)
    left = read_duplicates(opened.vault)
    assert [(file.score["face_sharpness"], file.score["eyes_open"]) for file in left.groups[0].files] == [
        (None, None),
        (42.0, 1.0),
    ]
    assert left.inputs == "" and opened.vault.duplicates.stat().st_mode & 0o077 == 0
