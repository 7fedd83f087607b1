"""people.json and finding people in it."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.stages.vault.people_makers import album, clustered, key_of, made_photo, sha_of, strangers, vault_of
from twinloop.errors import InputError, NothingToDo, StateError
from twinloop.stages.vault import edit_people
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people import find_person, people_of, read_people, write_people
from twinloop.stages.vault.whom import person_meant


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[OpenVault]:
    """p001 with 6 photos, p002 with 4, and a group photo of both with a stranger in the middle."""
    ann, bea, who = album(1, 7, "ann"), album(2, 5, "bea"), strangers(1)[0]
    both = made_photo("both.jpg", [ann[6].faces[0].face.embedding, who, bea[4].faces[0].face.embedding])
    with vault_of(tmp_path, [*ann[:6], *bea[:4], both]) as opened:
        clustered(opened)
        yield opened


def photos(*names: str) -> list[Path]:
    return [Path("/photos") / name for name in names]


def test_by_id_or_name_whatever_the_case(vault: OpenVault) -> None:
    edit_people.name(vault, "p001", "Ann Lee")
    people = read_people(vault.vault)
    assert find_person(people, " ann lee ").id == find_person(people, "P001").id == "p001"
    with pytest.raises(InputError, match=r"Nobody is called 'eve'. Known: p001 \(Ann Lee\), p002"):
        find_person(people, "eve")


def test_who_was_merged_is_found_by_the_old_id(vault: OpenVault) -> None:
    edit_people.merge(vault, ["p002", "p001"])
    assert find_person(read_people(vault.vault), "p001").id == "p002"


def test_damaged_and_foreign_files_are_refused(vault: OpenVault) -> None:
    path = vault.vault.people
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "version": 99}))
    with pytest.raises(StateError, match="version 99"):
        read_people(vault.vault)
    path.write_text(json.dumps({**data, "faces": ["nonsense"]}))
    with pytest.raises(StateError, match="damaged"):
        read_people(vault.vault)


def test_a_name_belongs_to_one_person_and_can_be_a_folder(vault: OpenVault) -> None:
    assert edit_people.name(vault, "p001", "Ann").text == "p001 is called Ann."
    assert edit_people.name(vault, "ann", "Anna").text == "p001 is called Anna (was Ann)."
    with pytest.raises(InputError, match="twinloop vault merge p001 p002"):
        edit_people.name(vault, "p002", "ANNA")
    with pytest.raises(InputError, match="called p001 already"):
        edit_people.name(vault, "p002", "p001")
    with pytest.raises(InputError, match="name of a folder"):
        edit_people.name(vault, "p002", "../bea")
    with pytest.raises(InputError, match="looks like the id"):
        edit_people.name(vault, "p002", "P050")
    with pytest.raises(InputError, match="at most 120 bytes"):
        edit_people.name(vault, "p002", "ü" * 61)
    with pytest.raises(NothingToDo, match="already"):
        edit_people.name(vault, "p001", "Anna")


@pytest.mark.parametrize("called", ["José", "अनिल", "தமிழ்"])
def test_a_name_is_one_name_however_its_letters_are_composed(vault: OpenVault, called: str) -> None:
    composed, apart = (unicodedata.normalize(form, called) for form in ("NFC", "NFD"))
    assert edit_people.name(vault, "p001", apart).decision.data["name"] == composed
    people = read_people(vault.vault)
    assert find_person(people, composed).id == find_person(people, apart).id == "p001"
    assert person_meant(vault, people, apart, None).person.id == "p001"
    with pytest.raises(NothingToDo, match="already"):
        edit_people.name(vault, "p001", composed)
    with pytest.raises(InputError, match="twinloop vault merge p001 p002"):
        edit_people.name(vault, "p002", apart)


def test_split_takes_the_persons_face_of_a_group_photo(vault: OpenVault) -> None:
    done = edit_people.split(vault, "p002", photos("both.jpg", "bea1.jpg"))
    assert (
        done.text == "2 faces of p002 are now p003."
        and len(find_person(done.people, "p003").faces) == 2
        and len(find_person(done.people, "p001").faces) == 7
    )
    with pytest.raises(InputError, match="all faces of p003"):
        edit_people.split(vault, "p003", photos("both.jpg", "bea1.jpg"))
    edit_people.undo(vault)
    assert edit_people.split(vault, "p002", photos("bea0.jpg")).text == "1 face of p002 is now p004.", (
        "p003 was somebody once"
    )


def test_reject_says_which_faces_there_are(vault: OpenVault) -> None:
    edit_people.reject(vault, "p001", [Path("both.jpg")])
    assert len(find_person(read_people(vault.vault), "p001").faces) == 6
    with pytest.raises(
        InputError,
        match=r"has no face of p001. Its faces: 1 nobody known \(left\), 2 nobody known \(middle\), 3 p002 \(right\)",
    ):
        edit_people.reject(vault, "p001", photos("both.jpg"))
    with pytest.raises(InputError, match="not a photo of this vault"):
        edit_people.reject(vault, "p001", [Path("nowhere.jpg")])


def test_assign_wants_to_know_which_face(vault: OpenVault) -> None:
    done = edit_people.assign(vault, "p001", photos("bea0.jpg"))
    assert len(find_person(done.people, "p001").faces) == 8 and len(find_person(done.people, "p002").faces) == 4
    edit_people.reject(vault, "p002", photos("both.jpg"))
    edit_people.reject(vault, "p001", photos("both.jpg"))
    with pytest.raises(InputError, match=r"3 faces. Say which with --face N. Its faces: 1 nobody known \(left\)"):
        edit_people.assign(vault, "p002", photos("both.jpg"))
    assert len(find_person(edit_people.assign(vault, "p002", photos("both.jpg"), face=3).people, "p002").faces) == 4
    with pytest.raises(NothingToDo, match="already"):
        edit_people.assign(vault, "p002", photos("both.jpg"))
    with pytest.raises(InputError, match="no face 4"):
        edit_people.assign(vault, "p002", photos("both.jpg"), face=4)


def test_merge_needs_two_and_is_undone_as_one(vault: OpenVault) -> None:
    with pytest.raises(InputError, match="at least two"):
        edit_people.merge(vault, ["p001", "P001"])
    edit_people.split(vault, "p001", photos("ann0.jpg"))
    assert edit_people.merge(vault, ["p002", "p001", "p003"]).text == "p001, p003 now belong to p002: 12 faces."
    assert edit_people.undo(vault).kind == "merge" and len(read_people(vault.vault).persons) == 3


def test_merge_brings_back_what_was_rejected_by_mistake(vault: OpenVault) -> None:
    edit_people.reject(vault, "p001", photos("ann0.jpg"))
    face = [key for key in read_people(vault.vault).strangers if key.sha256 == sha_of("ann0.jpg")]
    edit_people.split_faces(vault, None, face)
    done = edit_people.merge(vault, ["p001", "p003"])
    assert done.text == "p003 now belongs to p001: 7 faces."
    assert face[0] in find_person(done.people, "p001").faces and face[0] not in done.people.strangers


def test_merge_says_how_many_faces_it_leaves_out(vault: OpenVault) -> None:
    edit_people.reject(vault, "p001", photos("ann0.jpg"))
    found, face = read_people(vault.vault).found, key_of("ann0.jpg")
    ann, bea = found.groups["p001"], found.groups["p002"]
    groups = {
        "p001": tuple(key for key in ann if key != face),
        "p002": (*bea, face),
    }  # as a later clustering may find it
    write_people(vault.vault, people_of(replace(found, groups=groups), vault.decisions.active()))
    done = edit_people.merge(vault, ["p001", "p002"])
    assert (
        done.text
        == "p002 now belongs to p001: 11 faces; 1 said not to be p001 before stays out (assign says otherwise)."
    )
    assert len(find_person(done.people, "p001").faces) == 11 and face in done.people.strangers


def test_hidden_people_stay_and_can_be_shown(vault: OpenVault) -> None:
    assert edit_people.hide(vault, "p001").text == "p001 is hidden."
    with pytest.raises(NothingToDo, match="hidden already"):
        edit_people.hide(vault, "p001")
    assert find_person(clustered(vault).people, "p001").hidden
    edit_people.hide(vault, "p001", hidden=False)
    assert not find_person(read_people(vault.vault), "p001").hidden


def test_each_decision_notes_faces_by_which_people_are_known_again(vault: OpenVault) -> None:
    anchors = edit_people.merge(vault, ["p001", "p002"]).decision.data["anchors"]
    assert {name: len(keys) for name, keys in anchors.items()} == {"p001": 7, "p002": 5}
