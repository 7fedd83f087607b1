"""Everything in a folder is of one character, found faces or not; what was said of others stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers.same_shot import note_same_shot
from tests.unit.stages.vault.people.makers import album, clustered, faces_like, key_of, made_photo, sha_of, vault_of
from twinloop.domain.vault import FaceKey, Person, VaultPhoto
from twinloop.errors import InputError, NothingToDo
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people import edits
from twinloop.stages.vault.people.everything import Everything, note_faces, take_everything
from twinloop.stages.vault.people.listing import clusters
from twinloop.stages.vault.people.record import find_person, read_found, read_people, write_people

HERE = [Path("/photos")]


def bare(*names: str) -> list[VaultPhoto]:
    """Photos on which no face was found."""
    return [made_photo(name, []) for name in names]


def taken(opened: OpenVault, name: str = "bolt") -> Everything:
    """The same as `vault run --everything` does, the name included."""
    found = take_everything(opened, name, HERE)
    if found.person.name is None:
        edits.name(opened, found.person.id, name)
    return found


def whole(names: Sequence[str]) -> set[FaceKey]:
    return {FaceKey.of_whole(sha_of(name)) for name in names}


def test_a_robot_without_any_face_is_a_person(tmp_path: Path) -> None:
    with vault_of(tmp_path, bare("a.png", "b.png", "c.png")) as opened:
        found = taken(opened)
        assert (found.photos, found.added, found.without_face, found.others) == (3, 3, 3, 0)
        assert set(find_person(read_people(opened.vault), "bolt").faces) == whole(["a.png", "b.png", "c.png"])
        listed, strangers = clusters(opened, read_people(opened.vault))
        assert {face.path for face in listed.faces} == {"/photos/a.png", "/photos/b.png", "/photos/c.png"}
        assert strangers.faces == ()


def test_the_largest_face_of_a_picture_is_the_characters_and_twice_changes_nothing(tmp_path: Path) -> None:
    row = faces_like(1, 2)
    with vault_of(tmp_path, [made_photo("two.png", list(row)), *bare("back.png")]) as opened:
        first = taken(opened)
        assert set(first.person.faces) == {key_of("two.png", 0, 2)} | whole(["back.png"])
        made, record = opened.decisions.all(), opened.vault.people.read_bytes()
        again = taken(opened)
        assert again.added == 0 and again.photos == 2
        assert opened.decisions.all() == made and opened.vault.people.read_bytes() == record


def test_new_pictures_join_the_one_who_has_the_name(tmp_path: Path) -> None:
    with vault_of(tmp_path, bare("a.png")) as opened:
        taken(opened)
    with vault_of(tmp_path, bare("a.png", "b.png")) as opened:
        found = taken(opened)
        assert found.added == 1 and found.person.id == "p001" and found.person.name == "bolt"
        assert set(found.person.faces) == whole(["a.png", "b.png"])


def test_the_pieces_of_an_earlier_clustering_come_together(opened: OpenVault) -> None:
    """p001 and p002 of the vault: the character in two pieces, and a picture of both."""
    edits.name(opened, "p001", "miku")
    found = take_everything(opened, "miku", HERE)
    assert found.person.id == "p001" and found.added == 4 and found.others == 0
    assert len(found.person.faces) == 11
    assert [person.id for person in read_people(opened.vault).persons if len(person.faces) > 1] == ["p001"]


def test_what_was_said_of_others_stays(opened: OpenVault) -> None:
    edits.name(opened, "p002", "bea")
    edits.reject(opened, "p001", [Path("ann0.jpg")])
    edits.name(opened, "p001", "ann")
    found = take_everything(opened, "ann", HERE)
    assert found.others == 5, "four of bea alone, one that is not ann"
    assert len(find_person(read_people(opened.vault), "bea").faces) == 5
    assert sha_of("ann0.jpg") not in {key.sha256 for key in found.person.faces}


def test_ids_stay_theirs_through_a_later_clustering(tmp_path: Path) -> None:
    photos = [*album(1, 4, "a"), *bare("b.png")]
    with vault_of(tmp_path, photos) as opened:
        before = taken(opened).person
        people = clustered(opened).people
        assert set(find_person(people, "bolt").faces) == set(before.faces) and find_person(people, "bolt").id == "p001"
        assert len(people.persons) == 1, "the group that clustering finds has no face left"


def test_other_models_keep_who_was_known(tmp_path: Path) -> None:
    photos = album(1, 4, "a")
    with vault_of(tmp_path, photos) as opened:
        clustered(opened)
        edits.name(opened, "p001", "ann")
    moved = [made_photo(f"a{n}.jpg", [faces_like(1, 4)[n]], shift=2.0) for n in range(4)]
    with vault_of(tmp_path, [*moved, *bare("b.png")], fingerprint="eyes-2") as opened:
        note_faces(opened)
        ann = find_person(read_people(opened.vault), "ann")
        assert ann.id == "p001" and len(ann.faces) == 4
        found = read_found(opened.vault)
        assert found is not None and found.fingerprint == "eyes-2"


def test_faces_that_fall_together_stay_with_one_person(opened: OpenVault) -> None:
    found = read_found(opened.vault)
    assert found is not None
    twice = replace(found, groups={**found.groups, "p003": found.groups["p001"][:1]}, fingerprint="older")
    write_people(opened.vault, replace(read_people(opened.vault), found=twice))
    note_faces(opened)
    keys = [key for person in read_people(opened.vault).persons for key in person.faces]
    assert len(keys) == len(set(keys))


def test_a_mistake_is_told(tmp_path: Path) -> None:
    with vault_of(tmp_path, bare("a.png")) as opened:
        with pytest.raises(InputError, match="Nobody has the id 'p007'"):
            take_everything(opened, "p007", HERE)
        with pytest.raises(NothingToDo, match="No photo of /elsewhere"):
            take_everything(opened, "bolt", [Path("/elsewhere")])


def test_single_pictures_are_taken_whole_and_given_back(tmp_path: Path) -> None:
    with vault_of(tmp_path, [*album(1, 4, "a"), *bare("back.png")]) as other:
        clustered(other)
        with pytest.raises(InputError, match=r"No face was found in back.png.*assign PERSON FILE --without-face"):
            edits.assign(other, "p001", [Path("back.png")])
        done = edits.assign_pictures(other, "p001", [Path("back.png"), Path("a0.jpg")])
        assert done.text == "1 whole picture belongs to p001.", "the other shows the person's face already"
        assert len(find_person(done.people, "p001").faces) == 5
        with pytest.raises(NothingToDo, match="This picture is of p001 already"):
            edits.assign_pictures(other, "p001", [Path("back.png")])
        gone = edits.reject(other, "p001", [Path("back.png")])
        assert len(find_person(gone.people, "p001").faces) == 4
        assert whole(["back.png"]).isdisjoint(gone.people.strangers), "a picture is no stranger's face"
        edits.undo(other)
        assert len(find_person(read_people(other.vault), "p001").faces) == 5


def test_who_was_forgotten_comes_back_with_no_picture(tmp_path: Path) -> None:
    face = {"sha256": sha_of("a.png"), "box": [0.1, 0.1, 0.4, 0.5]}
    with vault_of(tmp_path, [*album(1, 2, "x"), *bare("a.png", "b.png", "c.png")]) as opened:
        opened.decisions.add("forget", {"person": "p009", "faces": [face], "kept": True})
        opened.decisions.add(
            "forget", {"person": "p008", "faces": [FaceKey.of_whole(sha_of("b.png")).to_json()], "kept": True}
        )
        found = taken(opened)
        assert (found.photos, found.added, found.without_face, found.forgotten, found.others) == (5, 3, 1, 2, 0)
        assert found.to_json()["forgotten"] == 2
        assert {key for key in found.person.faces if key.is_whole} == whole(["c.png"])
    with vault_of(tmp_path / "only", bare("a.png")) as opened:
        opened.decisions.add("forget", {"person": "p009", "faces": [face], "kept": True})
        with pytest.raises(NothingToDo, match="1 photo of somebody who was forgotten is left out"):
            take_everything(opened, "bolt", HERE)


def test_another_face_of_a_photo_of_somebody_forgotten_is_taken(opened: OpenVault) -> None:
    face = {"sha256": sha_of("ann0.jpg"), "box": [0.8, 0.8, 0.9, 0.9]}
    opened.decisions.add("forget", {"person": "p009", "faces": [face], "kept": True})
    found = take_everything(opened, "miku", HERE)
    assert found.forgotten == 0 and sha_of("ann0.jpg") in {key.sha256 for key in found.person.faces}


def test_a_picture_taken_whole_beside_its_face_is_not_counted_as_one_without(tmp_path: Path) -> None:
    with vault_of(tmp_path, [*album(1, 5, "a"), *album(2, 4, "b")]) as opened:
        clustered(opened)
        edits.name(opened, "p001", "ann")
        edits.name(opened, "p002", "bea")
        edits.assign_pictures(opened, "p001", [Path("b0.jpg")])
        found = take_everything(opened, "ann", HERE)
        assert (found.added, found.without_face, found.others) == (0, 0, 3)


def test_nothing_is_decided_for_a_person_who_cannot_be_prepared(tmp_path: Path) -> None:
    def refuse(person: Person) -> None:
        raise InputError(f"not {person.id}")

    with vault_of(tmp_path, bare("a.png")) as opened:
        with pytest.raises(InputError, match="not p001"):
            take_everything(opened, "bolt", HERE, refuse)
        assert opened.decisions.all() == []
        assert taken(opened).person.id == "p001", "the check was told the id that is given"


def test_a_raw_photo_and_the_jpeg_beside_it_are_one_picture(tmp_path: Path) -> None:
    faces = [made_photo("a.CR2", faces_like(1, 1)), made_photo("a.jpg", faces_like(1, 1))]
    with vault_of(tmp_path, [faces[0], *bare("b.CR2")]) as opened:
        assert len(taken(opened).person.faces) == 2
    for name in ("a", "b"):
        note_same_shot(opened.vault.same_shot, sha_of(f"{name}.CR2"), sha_of(f"{name}.jpg"))
    with vault_of(tmp_path, [faces[1], *bare("b.jpg")]) as opened:
        found = taken(opened)
        assert found.added == 0 and found.person.id == "p001"
        assert {*found.person.faces} == {faces[1].key(0), FaceKey.of_whole(sha_of("b.jpg"))}
