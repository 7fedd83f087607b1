"""Decisions on top of groups."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.stages.vault.people.makers import key_of
from twinloop.domain.vault import Decision, FaceKey, Person
from twinloop.stages.vault.people.membership import Membership, ids_merged_into

A, B, C, D, E, F = (key_of(name) for name in "abcdef")
GROUPS = {"p001": [A, B], "p002": [C, D]}


def said(kind: str, faces: tuple[FaceKey, ...] = (), **data: Any) -> Decision:
    return Decision(1, kind, {**data, **({"faces": [key.to_json() for key in faces]} if faces else {})}, "")


def people(*decisions: Decision) -> tuple[dict[str, Person], set[FaceKey]]:
    membership = Membership(GROUPS, [E, F])
    membership.apply(decisions)
    found, strangers = membership.people()
    return {person.id: person for person in found}, set(strangers)


def faces(found: dict[str, Person]) -> dict[str, set[FaceKey]]:
    return {name: set(person.faces) for name, person in found.items()}


def test_nothing_decided() -> None:
    assert faces(people()[0]) == {"p001": {A, B}, "p002": {C, D}} and people()[1] == {E, F}


def test_names_and_hiding() -> None:
    found, _ = people(
        said("name", person="p001", name="ann"),
        said("hide", person="p002"),
        said("hide", person="p001"),
        said("show", person="p001"),
    )
    assert (found["p001"].name, found["p001"].hidden, found["p002"].name, found["p002"].hidden) == (
        "ann",
        False,
        None,
        True,
    )


def test_merge_takes_over_faces_and_a_name_where_there_was_none() -> None:
    found, _ = people(said("name", person="p002", name="ann"), said("merge", into="p001", people=["p002"]))
    assert faces(found) == {"p001": {A, B, C, D}} and found["p001"].name == "ann"
    found, _ = people(
        said("name", person="p001", name="bea"),
        said("name", person="p002", name="ann"),
        said("merge", into="p001", people=["p002"]),
    )
    assert found["p001"].name == "bea"


def test_split_takes_faces_wherever_they_are_now() -> None:
    found, strangers = people(said("split", (B, E), person="p001", new="p007"))
    assert faces(found) == {"p001": {A}, "p002": {C, D}, "p007": {B, E}} and strangers == {F}


def test_rejected_faces_never_come_back_unless_they_are_assigned() -> None:
    reject = said("reject", (A,), person="p001")
    assert faces(people(reject)[0])["p001"] == {B} and A in people(reject)[1]
    assert A in people(reject, said("assign", (A,), person="p001"))[0]["p001"].faces


def test_who_is_merged_brings_the_faces_that_were_said_to_be_theirs() -> None:
    reject, merge = said("reject", (A,), person="p001"), said("merge", into="p001", people=["p002"])
    for elsewhere in (said("assign", (A,), person="p002"), said("split", (A,), person=None, new="p002")):
        found, strangers = people(reject, elsewhere, merge)
        assert set(found["p001"].faces) == {A, B, C, D} and A not in strangers
        assert A in people(reject, elsewhere, merge, reject)[1], "what is said last holds"
    rejected_twice = (reject, said("assign", (A,), person="p002"), said("reject", (A,), person="p002"), merge)
    assert A in people(*rejected_twice)[1]


def test_a_rejected_face_does_not_come_back_when_the_groups_of_merged_people_change() -> None:
    reject, merge = said("reject", (A,), person="p001"), said("merge", into="p001", people=["p002"])
    # a later clustering: A is in the other one's group now
    membership = Membership({"p001": [B], "p002": [A, C, D]}, [E, F])
    membership.apply([reject, merge])
    found, strangers = membership.people()
    assert [(person.id, set(person.faces)) for person in found] == [("p001", {B, C, D})] and A in strangers


def test_rejections_of_a_merged_person_hold_for_who_it_became() -> None:
    found, strangers = people(said("reject", (C,), person="p002"), said("merge", into="p001", people=["p002"]))
    assert set(found["p001"].faces) == {A, B, D} and C in strangers


def test_the_ids_of_a_person_are_also_those_that_were_merged_by_way_of_others() -> None:
    merges = [said("merge", into="p002", people=["p003"]), said("merge", into="p001", people=["p002", "p004"])]
    assert ids_merged_into(merges, "p001") == {"p001", "p002", "p003", "p004"}
    assert ids_merged_into(merges, "p002") == {"p002", "p003"} and ids_merged_into(merges, "p004") == {"p004"}


def test_assign_brings_back_a_person_that_clustering_lost() -> None:
    assert faces(people(said("assign", (E,), person="p009"))[0])["p009"] == {E}


def test_photos_that_are_gone_count_for_nothing() -> None:
    gone = key_of("gone")
    assert faces(
        people(
            said("assign", (gone,), person="p001"),
            said("reject", (gone,), person="p001"),
            said("split", (gone,), person="p001", new="p003"),
        )[0]
    ) == faces(people()[0])


PERSON = st.sampled_from(["p001", "p002", "p003"])
FACES = st.lists(st.sampled_from([A, B, C, D, E, F]), min_size=1, max_size=3, unique=True).map(tuple)
SOMETHING = st.one_of(
    st.builds(lambda into, gone: said("merge", into=into, people=[gone]), PERSON, PERSON),
    st.builds(lambda who, keys, new: said("split", keys, person=who, new=new), PERSON, FACES, PERSON),
    st.builds(lambda who, keys: said("reject", keys, person=who), PERSON, FACES),
    st.builds(lambda who, keys: said("assign", keys, person=who), PERSON, FACES),
)


@given(st.lists(SOMETHING, max_size=8))
def test_whatever_is_said_every_face_is_in_one_place(decisions: list[Decision]) -> None:
    found, strangers = people(*decisions)
    everywhere = [key for person in found.values() for key in person.faces] + list(strangers)
    assert sorted(everywhere, key=repr) == sorted([A, B, C, D, E, F], key=repr)


def test_a_whole_picture_is_there_because_a_decision_says_so() -> None:
    whole = FaceKey.of_whole("0" * 64)
    found, strangers = people(said("split", (E, whole), person=None, new="p003"))
    assert faces(found)["p003"] == {E, whole} and strangers == {F}
    found, strangers = people(said("assign", (whole,), person="p001"), said("reject", (whole,), person="p001"))
    assert faces(found)["p001"] == {A, B} and strangers == {E, F}, "rejected, it is nobody's and no stranger"
    found, _ = people(said("assign", (whole,), person="p001"), said("assign", (whole,), person="p002"))
    assert faces(found) == {"p001": {A, B}, "p002": {C, D, whole}}


def test_who_is_forgotten_does_not_come_back_with_whole_pictures() -> None:
    whole = FaceKey.of_whole("0" * 64)
    found, strangers = people(
        said("split", (whole,), person=None, new="p003"),
        said("forget", (whole,), person="p003", kept=True),
    )
    assert "p003" not in found and whole not in strangers
    again, _ = people(
        said("forget", (whole,), person="p003", kept=True), said("split", (whole,), person=None, new="p004")
    )
    assert faces(again)["p004"] == {whole}, "said after that, it counts"
