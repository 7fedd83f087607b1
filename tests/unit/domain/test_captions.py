"""Captions taken apart and put together: the trigger is always there, and first where it was added."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.domain.captions import (
    Description,
    count_tags,
    head_length,
    holds_trigger,
    of_the_class,
    one_line,
    parts_of,
    shuffled,
    thinned,
    with_trigger,
)

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=60)


@given(TEXTS, st.sampled_from(("ohwx alice", "1girl, ohwx", "OHWX")))
def test_the_trigger_is_always_there_and_added_once(text: str, trigger: str) -> None:
    full = with_trigger(text, trigger)
    assert holds_trigger(full, trigger)
    assert with_trigger(full, trigger) == full
    assert full == one_line(full)


def test_lone_surrogates_become_a_sign_that_can_be_written() -> None:
    text = json.loads(r'"\ud83d a \ud83d\ude00 caf\u00e9 \udc41"')
    assert one_line(text) == "\ufffd a \U0001f600 caf\u00e9 \ufffd"
    assert one_line("\ufeffa") == "\ufeffa", "no sign is taken for a byte order mark"
    kept = Description.from_json(json.loads(json.dumps({"text": "a \ud83d", "tags": ["b \udc41"]})))
    assert kept == Description("a \ufffd", ("b \ufffd",)), "also of an answer that was kept"


def test_a_placeholder_is_filled_in() -> None:
    assert with_trigger("[trigger] in a park", "ohwx alice") == "ohwx alice in a park"


def test_a_missing_trigger_comes_first() -> None:
    assert with_trigger("a woman in a park\n", "ohwx") == "ohwx, a woman in a park"
    assert with_trigger(" ", "ohwx") == "ohwx"


def test_a_trigger_inside_of_another_word_is_missing() -> None:
    assert with_trigger("a man on a banana farm", "ana") == "ana, a man on a banana farm"
    assert with_trigger("Ana, smiling", "ana") == "Ana, smiling" and with_trigger("(ana:1.2)", "ana") == "(ana:1.2)"


def test_a_trigger_of_tags_is_there_when_all_its_tags_are() -> None:
    assert with_trigger("ohwx, a 1girl in a park", "1girl, ohwx") == "ohwx, a 1girl in a park"
    assert with_trigger("1girl, outdoors", "1girl, ohwx").startswith("1girl, ohwx, ")


@pytest.mark.parametrize(
    ("caption", "trigger", "full"),
    [
        ("1girl, solo, smile", "1girl, mikuoc", "1girl, mikuoc, solo, smile"),
        ("ohwx, outdoors, 1girl", "1girl, ohwx", "1girl, ohwx, outdoors"),
        ("hatsune miku, smile, hat", "hatsune_miku", "hatsune_miku, smile, hat"),
        (r"smile, mikuoc_\(series\)", "mikuoc (series)", "mikuoc (series), smile"),
        ("smile, hat, OHWX", "ohwx", "ohwx, smile, hat"),
        ("smile, ohwx woman, hat", "ohwx", "ohwx woman, smile, hat"),
        ("smile, hat", "ohwx", "ohwx, smile, hat"),
        ("hat, looking at viewer, ohwx, hat", "ohwx", "ohwx, hat, looking at viewer, hat"),
    ],
)
def test_in_a_caption_of_tags_the_trigger_stands_once_and_in_front(caption: str, trigger: str, full: str) -> None:
    assert with_trigger(caption, trigger) == full


@pytest.mark.parametrize(
    ("caption", "full"),
    [
        ("ohwx miku", "ohwx miku, 1girl"),
        ("ohwx miku, smile", "ohwx miku, 1girl, smile"),
        ("1girl, solo, ohwx miku", "ohwx miku, 1girl, solo"),
        ("ohwx miku woman, smile", "ohwx miku woman, 1girl, smile"),
        ("ohwx miku, Miku at the court, smiling.", "ohwx miku, 1girl, Miku at the court, smiling."),
        ("ohwx miku woman, Miku paid 1,000 yen.", "ohwx miku woman, 1girl, Miku paid 1,000 yen."),
        ("a photo of ohwx miku, smiling.", "1girl, a photo of ohwx miku, smiling."),
        ("Miku at the court.", "ohwx miku, 1girl, Miku at the court."),
        ("solo, smile", "ohwx miku, 1girl, solo, smile"),
        ("", "ohwx miku, 1girl"),
    ],
)
def test_of_a_trigger_of_several_parts_only_those_that_are_missing_are_added(caption: str, full: str) -> None:
    assert with_trigger(caption, "ohwx miku, 1girl") == full and with_trigger(full, "ohwx miku, 1girl") == full


@pytest.mark.parametrize("count", ["2girls", "1boy", "3boys", "6+girls", "multiple_girls", "no humans", "2others"])
def test_a_caption_that_counts_by_itself_is_counted_no_other_way(count: str) -> None:
    caption = f"ohwx miku, {count}, hug"
    assert with_trigger(caption, "ohwx miku, 1girl") == caption and holds_trigger(caption, "ohwx miku, 1girl")
    assert with_trigger(f"{count}, hug", "ohwx miku, 1girl, solo") == caption
    assert with_trigger(f"The {count} hug.", "ohwx miku, 1girl") == f"ohwx miku, The {count} hug."


@pytest.mark.parametrize(
    "caption",
    [
        "a woman in a park, ohwx",
        "Smiling at the sea. She wears a hat, ohwx",
        "standing on some very old wooden stairs, ohwx",
        "a photo of ohwx, smiling",
        r"a photo of O\HWX, smiling",
    ],
)
def test_sentences_that_hold_the_trigger_stay_as_they_are(caption: str) -> None:
    assert with_trigger(caption, "ohwx") == caption


@pytest.mark.parametrize(
    ("trigger", "class_word", "tags"),
    [
        ("ohwx", "woman", ("1girl", "solo")),
        ("ohwx", "young man", ("1boy", "solo")),
        ("ohwx woman", "person", ("1girl", "solo")),
        ("ohwx", "person", ("solo",)),
        ("1girl, ohwx", "woman", ("solo",)),
        ("1girl, solo, ohwx", "", ()),
        ("2girls, ohwx", "girl", ()),
        ("ohwx human", "", ("solo",)),
    ],
)
def test_how_many_there_are_is_told_once(trigger: str, class_word: str, tags: tuple[str, ...]) -> None:
    assert count_tags(trigger, class_word) == tags
    assert count_tags(trigger, class_word, alone=False) == tuple(tag for tag in tags if tag != "solo")


def test_the_head_of_a_caption_is_the_trigger_and_the_count_tags() -> None:
    assert head_length("ohwx, 1girl, solo, smile", "ohwx") == 3
    assert head_length("1girl, ohwx, smile, solo", "1girl, ohwx") == 2
    assert head_length("ohwx woman, smile", "ohwx woman") == 1
    assert head_length("ohwx", "") == 1


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


def test_thinned_captions_lose_a_share_of_their_parts_and_never_the_head() -> None:
    caption = "ohwx, 1girl, solo, " + ", ".join(f"tag {n}" for n in range(200))
    texts = [thinned(caption, 3, 0.25, order) for order in range(8)]
    assert all(text.startswith("ohwx, 1girl, solo, tag") for text in texts) and len(set(texts)) == 8
    assert all(100 < len(parts_of(text)) < 180 for text in texts)
    assert texts[5] == thinned(caption, 3, 0.25, 5)
    assert thinned(caption, 3, 0.0, 1) == caption


@pytest.mark.parametrize("trigger", ["ohwx ana", "1girl, ohwx"])
def test_thinned_prose_keeps_its_trigger_wherever_it_stands(trigger: str) -> None:
    caption = f"in a garden at dusk, {trigger}, smiling at the camera, wears a hat, her hands folded"
    texts = [thinned(caption, 1, 0.9, order, trigger) for order in range(20)]
    assert all(holds_trigger(text, trigger) for text in texts)
    assert f"in a garden at dusk, {trigger}" in texts


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
        (r"mikuoc_\(series\), smile", "mikuoc (series)", "girl", "girl, smile"),
    ],
)
def test_the_class_takes_the_place_of_the_trigger(caption: str, trigger: str, class_word: str, wanted: str) -> None:
    assert of_the_class(caption, trigger, class_word) == wanted
