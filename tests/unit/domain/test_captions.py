"""Captions taken apart and put together: the trigger is always there, and first where it was added."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.domain.captions import Description, of_the_class, one_line, parts_of, shuffled, with_trigger

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=60)


@given(TEXTS, st.sampled_from(("ohwx alice", "1girl, ohwx", "OHWX")))
def test_the_trigger_is_always_there_and_added_once(text: str, trigger: str) -> None:
    full = with_trigger(text, trigger)
    assert all(part.casefold() in full.casefold() for part in parts_of(trigger))
    assert with_trigger(full, trigger) == full
    assert full == one_line(full)


def test_a_placeholder_is_filled_in() -> None:
    assert with_trigger("[trigger] in a park", "ohwx alice") == "ohwx alice in a park"


def test_a_missing_trigger_comes_first() -> None:
    assert with_trigger("a woman in a park\n", "ohwx") == "ohwx, a woman in a park"
    assert with_trigger(" ", "ohwx") == "ohwx"


def test_a_trigger_inside_of_another_word_is_missing() -> None:
    assert with_trigger("a man on a banana farm", "ana") == "ana, a man on a banana farm"
    assert with_trigger("Ana, smiling", "ana") == "Ana, smiling" and with_trigger("(ana:1.2)", "ana") == "(ana:1.2)"


def test_a_trigger_of_tags_is_there_when_all_its_tags_are() -> None:
    assert with_trigger("ohwx, outdoors, 1girl", "1girl, ohwx") == "ohwx, outdoors, 1girl"
    assert with_trigger("1girl, outdoors", "1girl, ohwx").startswith("1girl, ohwx, ")


def test_descriptions_keep_through_json() -> None:
    said = Description("a dog", ("dog", "grass"))
    assert Description.from_json(said.to_json()) == said


@given(st.lists(st.sampled_from("abcdefgh"), max_size=8), st.integers(0, 9), st.integers(0, 7))
def test_shuffled_captions_have_the_same_parts_and_begin_alike(parts: list[str], keep: int, order: int) -> None:
    caption = ", ".join(parts)
    mixed = parts_of(shuffled(caption, keep, order))
    assert sorted(mixed) == sorted(parts) and mixed[:keep] == parts[:keep]
    assert shuffled(caption, keep, order) == shuffled(caption, keep, order)
    assert shuffled(caption, keep, 0) == caption


def test_orders_differ() -> None:
    caption = "1girl, ohwx, smiling, outdoors, profile, night, hat"
    orders = {shuffled(caption, 2, order) for order in range(8)}
    assert len(orders) == 8 and all(text.startswith("1girl, ohwx, ") for text in orders)


@pytest.mark.parametrize(
    ("caption", "trigger", "class_word", "wanted"),
    [
        ("photo of ohwx ana smiling", "ohwx ana", "woman", "photo of woman smiling"),
        ("Ohwx Ana at the beach", "ohwx ana", "woman", "woman at the beach"),
        ("ohwx, 1girl, smiling", "1girl, ohwx", "woman", "woman, smiling"),
        ("ana woman eating a banana", "ana", "woman", "woman eating a banana"),
        ("ohwx alice woman, smiling", "ohwx alice", "person", "person, smiling"),
        ("ohwx womanly hat", "ohwx", "woman", "woman womanly hat"),
        ("smiling", "ohwx", "woman", "smiling"),
        ("ohwx", "", "woman", "ohwx"),
        ("ohwx in a hat", r"ohwx", r"\g<0>", r"\g<0> in a hat"),
    ],
)
def test_the_class_takes_the_place_of_the_trigger(caption: str, trigger: str, class_word: str, wanted: str) -> None:
    assert of_the_class(caption, trigger, class_word) == wanted
