"""Counts and their nouns agree."""

from __future__ import annotations

import pytest

from twinloop.domain.wording import agree, by_reason, harmless, in_words, none_can_be_used, plural, shown, some


@pytest.mark.parametrize(
    ("count", "words", "told"),
    [(0, ("photo",), "0 photos"), (1, ("photo",), "1 photo"), (2, ("person", "people"), "2 people")],
)
def test_a_noun_follows_its_number(count: int, words: tuple[str, ...], told: str) -> None:
    assert plural(count, *words) == told


@pytest.mark.parametrize(("count", "word"), [(0, "are"), (1, "is"), (2, "are")])
def test_a_verb_follows_its_number(count: int, word: str) -> None:
    assert agree(count, "is", "are") == word


@pytest.mark.parametrize(
    ("name", "written"),
    [("three_quarter", "three-quarter"), ("close_up", "close-up"), ("hands_visible", "hands visible")],
)
def test_a_recorded_name_is_written_as_in_a_sentence(name: str, written: str) -> None:
    assert in_words(name) == written


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, ""), (1, "f1"), (3, "f1, f2, f3"), (4, "f1, f2, f3 and 1 more"), (9, "f1, f2, f3 and 6 more")],
)
def test_of_many_names_some_are_told(count: int, told: str) -> None:
    assert some([f"f{number}" for number in range(1, count + 1)]) == told


def test_one_thing_is_not_counted_as_many() -> None:
    assert none_can_be_used(1, "photo", "of Ana") == "The only photo of Ana cannot be used"
    assert none_can_be_used(3, "image", "in walls") == "None of the 3 images in walls can be used"


def test_what_a_terminal_would_obey_is_shown_as_escapes() -> None:
    assert shown("Ana Müller.jpg") == "Ana Müller.jpg"
    assert shown("علی\u200cرضا") == "علی\u200cرضا", "part of how it is written"
    assert shown("a\x1b[2K\r\n\x9b\u202e\udcff") == "a\\x1b[2K\\r\\n\\x9b\\u202e\\udcff"


def test_only_what_a_terminal_would_obey_is_taken_out_of_a_text() -> None:
    usual = "Ana\tMüller\n✓ علی\u200cرضا \u00a0👩\u200d👧"
    assert harmless(usual) == usual
    every = map(chr, (*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)))
    assert all(harmless(char) == shown(char) != char for char in every if char not in "\n\t")


def test_each_reason_is_told_once_with_how_many_share_it() -> None:
    entries = [("a", "is damaged"), ("b", "is empty"), ("c", "is damaged"), ("d", "is damaged")]
    assert by_reason(entries) == [("a and 2 more", "is damaged"), ("b", "is empty")]
    assert by_reason([("a\nerror: b", "is empty")]) == [("a\\nerror: b", "is empty")]
    assert by_reason([]) == []
