"""Files of prompts with sd-scripts' options in their lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.domain.comparison import AskedPrompt
from twinloop.errors import InputError
from twinloop.foreign.prompt_lines import LARGEST_SEED, OPTIONS, read_line, read_lines, read_prompts

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="-\n\r", exclude_categories=("C", "Z")), min_size=1)
TEXT = st.lists(WORDS, min_size=1, max_size=5).map(" ".join)


@given(
    TEXT,
    st.fixed_dictionaries(
        {},
        optional={
            "n": TEXT,
            "w": st.integers(64, 4096),
            "h": st.integers(64, 4096),
            "d": st.integers(0, LARGEST_SEED),
            "l": st.integers(0, 500).map(lambda tenths: tenths / 10),
            "s": st.integers(1, 1000),
        },
    ),
    st.randoms(),
)
def test_options_come_in_any_order(prompt: str, options: dict[str, object], order: object) -> None:
    parts = [f"--{letter} {value}" for letter, value in options.items()]
    order.shuffle(parts)  # type: ignore[attr-defined]
    expected = AskedPrompt(prompt, **{OPTIONS[letter][0]: value for letter, value in options.items()})  # type: ignore[arg-type]
    assert read_line(" ".join([prompt, *parts])) == expected


@given(st.text())
def test_any_line_is_a_prompt_or_one_clear_error(line: str) -> None:
    try:
        asked = read_line(line)
    except ValueError as error:
        assert re.match("--|there is no prompt", str(error))
    else:
        assert asked.prompt and asked.prompt == asked.prompt.strip()


def test_dashes_in_words_are_no_options() -> None:
    asked = read_line("a close-up -- low-key light, 1980s--style --N no -- text, ugly --W 512")
    assert asked == AskedPrompt("a close-up -- low-key light, 1980s--style", negative="no -- text, ugly", width=512)


def test_an_empty_negative_prompt_is_one() -> None:
    assert read_line("ana --n").negative == ""


def test_comments_empty_lines_and_the_mark_of_windows_editors_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_bytes("\ufeff# mine\r\n\r\n  ana at sea --d 5\r\n   # not this\r\nana --s 12\r\n".encode())
    assert read_prompts(file) == (AskedPrompt("ana at sea", seed=5), AskedPrompt("ana", steps=12))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ana --x 5", "--x is no option"),
        ("ana --width 512", "--width is no option"),
        ("ana --w 5l2", "--w 5l2: expected a whole number from 64 to 4096"),
        ("ana --w 12", "--w 12: expected a whole number"),
        ("ana --d -1", "--d -1: expected a whole number from 0"),
        ("ana --l lots", "--l lots: expected a number from 0 to 50"),
        ("ana --s", "--s has no value"),
        ("ana --w 512 --w 640", "--w stands there twice"),
        ("--n blurry", "there is no prompt"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, line: str, words: str) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text(f"# one\nana\n{line}\n")
    with pytest.raises(InputError, match=re.escape(f"{file}, line 3: {words}")):
        read_prompts(file)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        read_lines([("one", "ana --x 5"), ("two", "ana"), ("three", "--w 64")])
    assert str(caught.value).splitlines() == [
        "one: --x is no option that is read here.",
        "three: there is no prompt before the options.",
        "Options in a line: --n TEXT (negative prompt), --w and --h PX, --d SEED, --l GUIDANCE, --s STEPS.",
    ]


@pytest.mark.parametrize(
    ("data", "words"), [(None, "no such file"), (b"# nothing\n", "holds no prompt"), (b"\xff\xfe\x00a", "no UTF-8")]
)
def test_what_is_no_file_of_prompts_is_said(tmp_path: Path, data: bytes | None, words: str) -> None:
    file = tmp_path / "prompts.txt"
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(InputError, match=words):
        read_prompts(file)
