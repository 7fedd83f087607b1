"""One change to many captions: what it would make of each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.domain.captions import parts_of
from twinloop.domain.vault import Label
from twinloop.errors import InputError
from twinloop.stages.vault.dataset.bulk_edit import Change, preview

LABEL = Label("p001", "ohwx ana", "woman")


def changed(text: str, kind: str, words: str, by: str = "") -> str:
    return preview({"a": text}, Change(kind, words, by), LABEL).get("a", text)


@pytest.mark.parametrize(
    ("text", "change", "after"),
    [
        ("ohwx ana woman, smiling", ("add", "red hat"), "ohwx ana woman, smiling, red hat"),
        ("ohwx ana woman, Red  hat", ("add", "red hat"), "ohwx ana woman, Red hat, red hat"),
        ("ohwx ana woman, Red hat", ("add", " red  hat "), "ohwx ana woman, Red hat"),
        ("ohwx ana woman, smiling, Indoors, sunny", ("remove", "indoors"), "ohwx ana woman, smiling, sunny"),
        ("ohwx ana woman, a red hat on", ("remove", "red"), "ohwx ana woman, a hat on"),
        ("ohwx ana woman, predatory, red", ("remove", "red"), "ohwx ana woman, predatory"),
        ("ohwx ana woman, c++ (book)", ("remove", "c++"), "ohwx ana woman, (book)"),
        ("ohwx ana woman, in a park", ("replace", "a park", "the woods"), "ohwx ana woman, in the woods"),
        ("ohwx ana woman, in a Park", ("replace", "park", "woods"), "ohwx ana woman, in a Park"),
        ("ohwx ana woman, smiling", ("remove", "ohwx ana woman"), "ohwx ana, smiling"),
        ("ohwx ana", ("remove", "ohwx ana"), "ohwx ana"),
    ],
)
def test_changes(text: str, change: tuple[str, ...], after: str) -> None:
    assert changed(text, *change) == after


def test_captions_that_stay_as_they_are_are_left_out() -> None:
    assert preview({"a": "ohwx ana, hat", "b": "ohwx ana"}, Change("remove", "hat"), LABEL) == {"a": "ohwx ana"}


@pytest.mark.parametrize("change", [Change("add", " "), Change("remove", ""), Change("shuffle", "x")])
def test_changes_that_cannot_be(change: Change) -> None:
    with pytest.raises(InputError):
        preview({"a": "ohwx ana"}, change, LABEL)


WORDS = st.text("ab ,+(", min_size=1, max_size=8).filter(lambda text: bool(text.replace(",", "").strip()))


@given(
    st.lists(st.text("abc ", min_size=1, max_size=6), max_size=5), WORDS, st.sampled_from(("add", "remove", "replace"))
)
def test_the_trigger_is_never_lost_and_nothing_changes_the_second_time(parts: list[str], words: str, kind: str) -> None:
    once = changed(", ".join(["ohwx ana", *parts]), kind, words)
    assert "ohwx ana" in once and parts_of(once)
    if kind == "add" and "," not in words:
        assert changed(once, kind, words) == once
