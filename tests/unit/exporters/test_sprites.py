"""Which photo may stand for which state."""

from __future__ import annotations

import pytest

from tests.unit.exporters.makers import candidate
from twinloop.exporters.sprites import VRM, named_slots, talking_slots
from twinloop.facets import expression


@pytest.mark.parametrize(
    ("jaw", "eyes", "state"),
    [(0.02, 0.9, "closed"), (0.6, 0.9, "open"), (0.02, 0.05, "closed_blink"), (0.6, 0.05, "open_blink")],
)
def test_each_state_takes_its_own_photos(jaw: float, eyes: float, state: str) -> None:
    one = candidate(measures={"jaw_open": jaw, "eyes_open": eyes})
    assert [slot.name for slot in talking_slots() if slot.admits(one)] == [state]
    turned = candidate(yaw=50.0, measures={"jaw_open": jaw, "eyes_open": eyes})
    assert not any(slot.admits(turned) for slot in talking_slots())


def test_not_measured_is_not_closed() -> None:
    assert [slot.admits(candidate()) for slot in talking_slots()] == [None] * 4


def test_names_without_a_measure_are_never_filled() -> None:
    slots = {slot.name: slot for slot in named_slots(VRM, expression.FACET)}
    assert set(slots) == {"happy", "angry", "sad", "relaxed", "surprised", "neutral"}
    assert slots["happy"].admits(candidate(shown="smile")) and not slots["happy"].admits(candidate(shown="angry"))
    assert slots["sad"].admits(candidate(shown="neutral")) is None and "sad.png" in slots["sad"].remedy
