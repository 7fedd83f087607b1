"""Where CLIP's chunks of a text begin, on the embedded base's tokenizer, which has 75 tokens as in every CLIP."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("transformers")

from twinloop.domain.weighted_text import read_weights
from twinloop.families import clip
from twinloop.wiring import base_model_path

WORD = st.sampled_from(
    ["photo", "woman,", "smiling", "ohwx", "(blue-eyes:1.2)", "12:30", "x", "日本", "cafe\u0301", "a,b,c,d,e,f,g,h"]
)
TEXT = st.lists(WORD | st.text("ab,1日", max_size=90), max_size=120)


@cache
def tokenizer() -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(Path(base_model_path("nano")) / "tokenizer")


def numbers(text: str) -> list[int]:
    return list(tokenizer()(text, add_special_tokens=False)["input_ids"])


@given(TEXT)
def test_every_chunk_but_the_last_is_full(words: list[str]) -> None:
    """ComfyUI fills a chunk up with whatever comes next, and sd-scripts cuts every 75 tokens."""
    sizes = [len(chunk) for chunk in clip.split(tokenizer(), " ".join(words)).chunks]
    assert set(sizes[:-1]) <= {75} and sum(sizes) == min(len(numbers(" ".join(words))), 225)


@given(TEXT)
def test_what_is_not_read_is_the_end_of_the_text(words: list[str]) -> None:
    text = " ".join(words)
    split = clip.split(tokenizer(), text)
    read = [number for chunk in split.chunks for number in chunk]
    assert split.tokens == len(read) and numbers(text)[: len(read)] == read
    assert text.rstrip().endswith(split.left_out)
    assert (split.left_out == "") == (len(read) == len(numbers(text)))
    assert 1 <= len(split.chunks) <= clip.CHUNKS and max(map(len, split.chunks)) <= clip.TOKENS


def test_up_to_75_tokens_are_one_chunk() -> None:
    assert clip.room(tokenizer()) == clip.TOKENS
    assert clip.split(tokenizer(), "").chunks == ((),)
    assert [len(chunk) for chunk in clip.split(tokenizer(), "photo " * 75).chunks] == [75]
    assert [len(chunk) for chunk in clip.split(tokenizer(), "photo " * 76).chunks] == [75, 1]


def test_a_word_may_lose_its_comma_to_the_next_chunk() -> None:
    assert [len(chunk) for chunk in clip.split(tokenizer(), "blurry, " * 40).chunks] == [75, 5]


def test_fewer_chunks_where_a_pipeline_reads_fewer() -> None:
    split = clip.split(tokenizer(), "photo " * 75 + "Woman smiling", most=1)
    assert [len(chunk) for chunk in split.chunks] == [75] and split.left_out == "Woman smiling"


def test_after_three_chunks_the_rest_is_left_out_in_the_users_own_letters() -> None:
    split = clip.split(tokenizer(), "photo " * 225 + " Woman,  SMILING ")
    assert split.tokens == 225 and split.left_out == "Woman,  SMILING"


@given(TEXT)
def test_a_text_with_weights_has_the_words_of_one_without(words: list[str]) -> None:
    """But for words that meet where a bracket stood. No piece of fewer than eight tokens is cut."""
    text = read_weights("(woman:1.2) " + " ".join(words))
    assert not isinstance(text, str)
    split = clip.split(tokenizer(), text, most=1000)
    pieces = [numbers(piece) for piece, _ in text.parts]
    assert [number for chunk in split.chunks for number in chunk] == [number for piece in pieces for number in piece]
    counted = [weight for (_, weight), piece in zip(text.parts, pieces, strict=True) for _ in piece]
    assert split.weights is not None and [one for chunk in split.weights for one in chunk] == counted
    ends, done = set[int](), 0
    for chunk in split.chunks[:-1]:
        assert len(chunk) > 75 - 8
        done += len(chunk)
        ends.add(done)
    start = 0
    for piece in pieces:
        assert len(piece) >= 8 or not any(start < end < start + len(piece) for end in ends)
        start += len(piece)


def test_a_short_piece_opens_the_next_chunk() -> None:
    text = read_weights("photo " * 73 + "(woman smiling indoors:1.5) photo")
    split = clip.split(tokenizer(), text)
    assert [len(chunk) for chunk in split.chunks] == [73, 4]
    assert split.weights == ((1.0,) * 73, (1.5,) * 3 + (1.0,))
    assert not clip.single(tokenizer(), [clip.split(tokenizer(), read_weights("(woman:1.5)"))], None)


def test_what_is_left_out_of_a_text_with_weights() -> None:
    split = clip.split(
        tokenizer(), read_weights("photo " * 70 + "(Woman:1.5) SMILING, (blurry " + "x " * 9 + ":.5) a"), 1
    )
    assert split.tokens == 75 and split.left_out == "x x x x x x x x  a"


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("", 0, 0),
        ("photo of a woman", 4, 4),
        ("1girl, solo, long hair, looking at viewer", 10, 16),
        ("photorealistic", 2, 4),
        ("日本語", 6, 9),
        (", ".join(["blue eyes"] * 25), 74, 76),
        (", ".join(["blue eyes"] * 30), 89, 91),
    ],
)
def test_tokens_without_a_tokenizer(text: str, least: int, most: int) -> None:
    assert least <= clip.about_tokens(text) <= most
