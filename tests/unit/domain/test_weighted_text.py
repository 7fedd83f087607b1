"""Weights in prompts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.domain.weighted_text import WeightedText, read_weights


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("ohwx, (smile:1.3), indoors", [("ohwx, ", 1.0), ("smile", 1.3), (", indoors", 1.0)]),
        ("(worst quality, low quality:1.4)", [("worst quality, low quality", 1.4)]),
        ("((red hair:.8))", [("(", 1.0), ("red hair", 0.8), (")", 1.0)]),
        ("( smile : 2 )", [(" smile ", 2.0)]),
        ("(blue-eyes:0) a", [("blue-eyes", 0.0), (" a", 1.0)]),
        ("(a:-1)(b:+.5)", [("a", -1.0), ("b", 0.5)]),
        ("((a:1.5) b:2)", [("a", 3.0), (" b", 2.0)]),
        ("(score_9:1.2) (year 2023:1.1)", [("score_9", 1.2), (" ", 1.0), ("year 2023", 1.1)]),
        ("(ganyu (genshin impact):1.2), x", [("ganyu (genshin impact)", 1.2), (", x", 1.0)]),
        (r"saber \(fate\) (smile:1.1)", [("saber (fate) ", 1.0), ("smile", 1.1)]),
        ("x) (y:1.2", None),
        ("x) (y:1.2)", [("x) ", 1.0), ("y", 1.2)]),
    ],
)
def test_weights(prompt: str, parts: list[tuple[str, float]] | None) -> None:
    read = read_weights(prompt)
    if parts is None:
        assert read == prompt
    else:
        assert isinstance(read, WeightedText) and str(read) == prompt
        assert read.parts == tuple((words, weight) for words, weight in parts if words.strip())


@pytest.mark.parametrize(
    "prompt",
    ["", "ganyu (genshin impact)", "a clock (12:30)", "a clock (at 12:30)", "(smile)", "((smile))", ":d, (:3)",
     "ratio 3:2", "(smile: very)", "(a:1e3)"],
)  # fmt: skip
def test_no_weight(prompt: str) -> None:
    assert read_weights(prompt) == prompt


@pytest.mark.parametrize(
    ("prompt", "words"), [(r"saber \(fate\)", "saber (fate)"), (r"\(smile:1.3\)", "(smile:1.3)"), ("(a:1.0) b", "a b")]
)
def test_words_alone(prompt: str, words: str) -> None:
    assert read_weights(prompt) == words


@given(st.text(alphabet=r"ab,:.12()\ ", max_size=40))
def test_no_word_is_lost_and_none_comes_twice(prompt: str) -> None:
    read = read_weights(prompt)
    words = read if isinstance(read, str) else "".join(words for words, _ in read.parts)
    assert [letter for letter in words if letter in "ab"] == [letter for letter in prompt if letter in "ab"]


def test_brackets_in_brackets_are_read_in_one_go() -> None:
    deep = 20_000
    read = read_weights("(" * deep + "a:1.2" + ")" * deep)
    assert isinstance(read, WeightedText) and read.parts[1] == ("a", 1.2)
