"""Ids stay with their people and are never given twice."""

from __future__ import annotations

from tests.unit.stages.vault.people.makers import key_of, sha_of
from twinloop.domain.vault import Decision, FaceKey
from twinloop.stages.vault.people.lasting_ids import anchored, lasting_ids


def keys(*names: str) -> list[FaceKey]:
    return [key_of(name) for name in names]


def moved(key: FaceKey, by: float) -> FaceKey:
    """The box as another detector would draw it."""
    return FaceKey(key.sha256, (key.box[0] + by, key.box[1], key.box[2] + by, key.box[3]))


def test_new_photos_join_and_new_people_come_behind() -> None:
    ids, last = lasting_ids(
        [keys("x", "y", "z", "w"), keys("a", "b", "new")], {"p001": keys("a", "b"), "p003": keys("x", "y")}, last=3
    )
    assert ids == ["p003", "p001"] and last == 3
    ids, last = lasting_ids([keys("q", "r"), keys("a")], {"p001": keys("a", "b")}, last=7)
    assert ids == ["p008", "p001"] and last == 8


def test_another_detector_draws_other_boxes() -> None:
    before = {"p005": keys("a", "b")}
    assert lasting_ids([[moved(key, 0.1) for key in keys("a", "b")]], before, 5) == (["p005"], 5)
    assert lasting_ids([[moved(key, 0.7) for key in keys("a", "b")]], before, 5) == (["p006"], 6), (
        "boxes that do not overlap are other faces"
    )


def test_when_one_becomes_two_the_larger_part_keeps_the_id_and_when_two_become_one_the_larger_name_wins() -> None:
    before = {"p001": keys("a", "b", "c", "d", "e"), "p002": keys("x", "y", "z")}
    assert lasting_ids([keys("a", "b"), keys("c", "d", "e")], before, 2) == (["p003", "p001"], 3)
    assert lasting_ids([keys("a", "x", "y", "z")], before, 2) == (["p002"], 2)
    assert lasting_ids([keys("x", "y", "a", "b")], before, 2) == (["p001"], 2), "of equal shares the older one"


def test_people_are_found_again_by_the_faces_that_decisions_noted() -> None:
    def said(number: int, **people: list[FaceKey]) -> Decision:
        return Decision(
            number,
            "name",
            {
                "person": "p004",
                "name": "ann",
                "anchors": {person: [key.to_json() for key in found] for person, found in people.items()},
            },
            "",
        )

    known = anchored([said(1, p004=keys("a", "b")), said(2, p004=keys("c"), p006=keys("b", "d"))])
    assert known == {"p004": keys("a", "b"), "p006": keys("d")}, "no face of two people"
    assert lasting_ids([keys("d", "e"), keys("a", "f")], known, 6) == (["p006", "p004"], 6)
    assert sha_of("a") == known["p004"][0].sha256
