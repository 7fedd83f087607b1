"""Whose hands are seen: surely this person's, or not measured."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.unit.things import face, observation
from twinloop.domain.faces import Box, Part
from twinloop.domain.observation import Observation
from twinloop.facets.composition import FACET
from twinloop.stages.vault.dataset.own_hands import own_hands

MINE, OTHER = Box(400, 100, 480, 200), Box(-200, 100, -120, 200)
"""The other face was cut off: it lies left of the picture."""


def hand(x: float, y: float, confidence: float = 0.9) -> Part:
    return Part("hand", Box(x - 20, y - 20, x + 20, y + 20), confidence)


def hands(seen: Observation) -> bool | None:
    reading = FACET.classify(seen)
    return True if "hands_visible" in reading.present else False if "hands_visible" in reading.absent else None


def seen(parts: Sequence[Part], faces: Sequence[Box] = (MINE,)) -> Observation:
    return observation(faces=[face(box=box) for box in faces], parts=parts)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([hand(420, 350)], True),
        ([hand(20, 300)], None),
        ([hand(140, 300)], None),
        ([hand(420, 700)], None),
        ([hand(20, 300), hand(420, 350)], True),
        ([], False),
        ([hand(20, 300, confidence=0.3)], False),
    ],
    ids=["hers", "his", "between them", "out of reach", "both", "none", "none for sure"],
)
def test_with_another_face_in_the_photo(parts: Sequence[Part], said: bool | None) -> None:
    assert hands(own_hands(seen(parts), [OTHER])) is said
    if parts and said is True:
        assert len(own_hands(seen(parts), [OTHER]).parts) == 1


def test_a_face_that_is_still_in_the_picture_counts_too() -> None:
    assert hands(own_hands(seen([hand(20, 300)], faces=[MINE, Box(0, 100, 80, 200)]), [])) is None


def test_of_one_person_alone_every_hand_is_hers() -> None:
    whole = seen([hand(420, 900)])
    assert own_hands(whole, []) is whole
