"""What the user says of people."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.stages.vault.people.makers import clustered, key_of, sha_of
from twinloop.errors import InputError, NothingToDo
from twinloop.stages.vault.dataset.whom import person_meant
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people import edits
from twinloop.stages.vault.people.record import find_person, people_of, read_people, write_people


def photos(*names: str) -> list[Path]:
    return [Path("/photos") / name for name in names]


def test_a_name_belongs_to_one_person_and_can_be_a_folder(opened: OpenVault) -> None:
    assert edits.name(opened, "p001", "Ann").text == "p001 is called Ann."
    assert edits.name(opened, "ann", "Anna").text == "p001 is called Anna (was Ann)."
    with pytest.raises(InputError, match="twinloop vault merge p001 p002"):
        edits.name(opened, "p002", "ANNA")
    with pytest.raises(InputError, match="called p001 already"):
        edits.name(opened, "p002", "p001")
    with pytest.raises(InputError, match="name of a folder"):
        edits.name(opened, "p002", "../bea")
    with pytest.raises(InputError, match="looks like the id"):
        edits.name(opened, "p002", "P050")
    with pytest.raises(InputError, match="at most 120 bytes"):
        edits.name(opened, "p002", "ü" * 61)
    with pytest.raises(NothingToDo, match="already"):
        edits.name(opened, "p001", "Anna")


@pytest.mark.parametrize("called", ["José", "अनिल", "தமிழ்"])
def test_a_name_is_one_name_however_its_letters_are_composed(opened: OpenVault, called: str) -> None:
    composed, apart = (unicodedata.normalize(form, called) for form in ("NFC", "NFD"))
    assert edits.name(opened, "p001", apart).decision.data["name"] == composed
    people = read_people(opened.vault)
    assert find_person(people, composed).id == find_person(people, apart).id == "p001"
    assert person_meant(opened, people, apart, None).person.id == "p001"
    with pytest.raises(NothingToDo, match="already"):
        edits.name(opened, "p001", composed)
    with pytest.raises(InputError, match="twinloop vault merge p001 p002"):
        edits.name(opened, "p002", apart)


def test_two_people_never_have_one_folder(opened: OpenVault) -> None:
    edits.name(opened, "p001", "Ana")
    for called in ("Ana.", "ANA..", "ana ."):
        with pytest.raises(InputError, match="one folder: a dot at the end"):
            edits.name(opened, "p002", called)
    with pytest.raises(InputError, match="looks like the id"):
        edits.name(opened, "p002", "p001.")
    edits.name(opened, "p002", "Ana B.")
    edits.name(opened, "p001", "Ana.")  # of one person, both names are the same folder anyway


def test_split_takes_the_persons_face_of_a_group_photo(opened: OpenVault) -> None:
    done = edits.split(opened, "p002", photos("both.jpg", "bea1.jpg"))
    assert (
        done.text == "2 faces of p002 are now p003."
        and len(find_person(done.people, "p003").faces) == 2
        and len(find_person(done.people, "p001").faces) == 7
    )
    with pytest.raises(InputError, match="all faces of p003"):
        edits.split(opened, "p003", photos("both.jpg", "bea1.jpg"))
    edits.undo(opened)
    assert edits.split(opened, "p002", photos("bea0.jpg")).text == "1 face of p002 is now p004.", (
        "p003 was somebody once"
    )


def test_reject_says_which_faces_there_are(opened: OpenVault) -> None:
    edits.reject(opened, "p001", [Path("both.jpg")])
    assert len(find_person(read_people(opened.vault), "p001").faces) == 6
    with pytest.raises(
        InputError,
        match=r"has no face of p001. Its faces: 1 nobody known \(left\), 2 nobody known \(middle\), 3 p002 \(right\)",
    ):
        edits.reject(opened, "p001", photos("both.jpg"))
    with pytest.raises(InputError, match="not a photo of this vault"):
        edits.reject(opened, "p001", [Path("nowhere.jpg")])


def test_assign_wants_to_know_which_face(opened: OpenVault) -> None:
    done = edits.assign(opened, "p001", photos("bea0.jpg"))
    assert len(find_person(done.people, "p001").faces) == 8 and len(find_person(done.people, "p002").faces) == 4
    edits.reject(opened, "p002", photos("both.jpg"))
    edits.reject(opened, "p001", photos("both.jpg"))
    with pytest.raises(InputError, match=r"3 faces. Say which with --face N. Its faces: 1 nobody known \(left\)"):
        edits.assign(opened, "p002", photos("both.jpg"))
    assert len(find_person(edits.assign(opened, "p002", photos("both.jpg"), face=3).people, "p002").faces) == 4
    with pytest.raises(NothingToDo, match="already"):
        edits.assign(opened, "p002", photos("both.jpg"))
    with pytest.raises(InputError, match="no face 4"):
        edits.assign(opened, "p002", photos("both.jpg"), face=4)
    both = edits.assign(opened, "p001", photos("ann0.jpg", "bea1.jpg"))
    assert len(find_person(both.people, "p001").faces) == 8, "one of them was theirs already"


def test_merge_needs_two_and_is_undone_as_one(opened: OpenVault) -> None:
    with pytest.raises(InputError, match="at least two"):
        edits.merge(opened, ["p001", "P001"])
    edits.split(opened, "p001", photos("ann0.jpg"))
    assert edits.merge(opened, ["p002", "p001", "p003"]).text == "p001, p003 now belong to p002: 12 faces."
    assert edits.undo(opened).kind == "merge" and len(read_people(opened.vault).persons) == 3


def test_merge_brings_back_what_was_rejected_by_mistake(opened: OpenVault) -> None:
    edits.reject(opened, "p001", photos("ann0.jpg"))
    face = [key for key in read_people(opened.vault).strangers if key.sha256 == sha_of("ann0.jpg")]
    edits.split_faces(opened, None, face)
    done = edits.merge(opened, ["p001", "p003"])
    assert done.text == "p003 now belongs to p001: 7 faces."
    assert face[0] in find_person(done.people, "p001").faces and face[0] not in done.people.strangers


def test_merge_says_how_many_faces_it_leaves_out(opened: OpenVault) -> None:
    edits.reject(opened, "p001", photos("ann0.jpg"))
    found, face = read_people(opened.vault).found, key_of("ann0.jpg")
    ann, bea = found.groups["p001"], found.groups["p002"]
    # as a later clustering may find it
    groups = {
        "p001": tuple(key for key in ann if key != face),
        "p002": (*bea, face),
    }
    write_people(opened.vault, people_of(replace(found, groups=groups), opened.decisions.active()))
    done = edits.merge(opened, ["p001", "p002"])
    assert (
        done.text
        == "p002 now belongs to p001: 11 faces; 1 said not to be p001 before stays out (assign says otherwise)."
    )
    assert len(find_person(done.people, "p001").faces) == 11 and face in done.people.strangers


def test_hidden_people_stay_and_can_be_shown(opened: OpenVault) -> None:
    assert edits.hide(opened, "p001").text == "p001 is hidden."
    with pytest.raises(NothingToDo, match="hidden already"):
        edits.hide(opened, "p001")
    assert find_person(clustered(opened).people, "p001").hidden
    edits.hide(opened, "p001", hidden=False)
    assert not find_person(read_people(opened.vault), "p001").hidden


def test_each_decision_notes_faces_by_which_people_are_known_again(opened: OpenVault) -> None:
    anchors = edits.merge(opened, ["p001", "p002"]).decision.data["anchors"]
    assert {name: len(keys) for name, keys in anchors.items()} == {"p001": 7, "p002": 5}
