"""Triggers that base models know already are told; rare ones are not."""

from __future__ import annotations

import pytest

from twinloop.stages.vault.dataset.trigger import meaning_of, problems_of, warnings_of


@pytest.mark.parametrize("trigger", ["ohwx alice", "ohwx", "zwx-9 woman", "1girl, ohwx", "ohwx ශ්‍රියානි", "ohwx अनिल"])
def test_rare_words_pass(trigger: str) -> None:
    assert not [text for text in warnings_of(trigger, "person") if "picture" in text or "comma" in text]
    assert problems_of(trigger, "person") == []


@pytest.mark.parametrize(
    ("trigger", "why"),
    [
        ("alice", "common word or name"),
        ("catgirl", "cat + girl"),
        ("alice01", "read as alice"),
        ("sunflower", "sun + flower"),
        ("Red", "common word"),
    ],
)
def test_known_pictures_are_told(trigger: str, why: str) -> None:
    assert any(why in text for text in warnings_of(trigger, "woman"))


def test_the_class_word_in_the_trigger_is_told() -> None:
    assert any("class word 'person' is part" in text for text in warnings_of("ohwx person", "person"))
    assert any("nothing but class words" in text for text in warnings_of("woman", "woman"))


def test_several_tags_are_told() -> None:
    assert any("comma" in text for text in warnings_of("ohwx, zwq", "woman"))


def test_meanings_are_found_to_the_end() -> None:
    assert meaning_of("snowqueenrose") == ("snow", "queen", "rose")
    assert meaning_of("snowxqz") == () and meaning_of("ohwx") == ()


@pytest.mark.parametrize("trigger", ["", "  ", "a\nb", "x" * 61, "[trigger]"])
def test_what_cannot_be_a_trigger(trigger: str) -> None:
    assert problems_of(trigger, "woman") and not problems_of("ohwx alice", "woman")
