"""The header of safetensors files: what is taken is what the library takes, and what is written it reads."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.pickles.safetensors_files import BAD, BODY, GOOD, ONE, one, whole
from twinloop.pickles.safetensors_header import TEXTS, Entry, header_bytes, looks_like, of_bytes, parse, placed


def library_takes(data: bytes) -> bool:
    try:
        safetensors.deserialize(data)
    except safetensors.SafetensorError:
        return False
    return True


def is_taken(data: bytes) -> bool:
    try:
        of_bytes(data)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("name", [*GOOD, *BAD])
def test_the_library_agrees(name: str) -> None:
    data = {**GOOD, **BAD}[name]
    assert (is_taken(data), library_takes(data)) == (name in GOOD, name in GOOD)


_NUMBERS = st.sampled_from([0, 1, 2, 4, 8, 12, -4, 2.0, "8", None, True])
_ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "U8", "BOOL", "I64", "F8_E4M3", "F7", 32]),
        "shape": st.lists(_NUMBERS, max_size=3),
        "data_offsets": st.lists(_NUMBERS, min_size=1, max_size=3),
    }
)


@given(
    st.dictionaries(st.sampled_from("abc"), _ENTRIES, max_size=2),
    st.sampled_from([{}, {TEXTS: {"a": "1"}}, {TEXTS: {"a": 1}}, {TEXTS: None}, {TEXTS: "a"}]),
    st.sampled_from([0, 1, 4, 8, 16]),
)
@settings(max_examples=300, deadline=None)
def test_the_library_agrees_on_nonsense(entries: dict[str, Any], texts: dict[str, Any], size: int) -> None:
    data = whole({**texts, **entries}, bytes(size))
    assert is_taken(data) == library_takes(data)


@given(
    st.lists(
        st.tuples(st.text(max_size=8), st.sampled_from(["F32", "F16", "U8"]), st.lists(st.integers(1, 5), max_size=3)),
        unique_by=lambda tensor: tensor[0],
        max_size=6,
    ),
    st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=4),
)
@settings(max_examples=100, deadline=None)
def test_what_is_written_reads_back(tensors: list[tuple[str, str, list[int]]], texts: dict[str, str]) -> None:
    entries = placed(tensor for tensor in tensors if tensor[0] != TEXTS)
    data = header_bytes(entries, texts) + bytes(max((entry.last for entry in entries.values()), default=0))
    header = of_bytes(data)
    assert header.entries == entries and library_takes(data) and header.body_at % 8 == 0
    assert header_bytes(header.entries, header.texts) == data[: header.body_at]
    assert header.texts == texts


def test_half_a_character_is_written_as_a_question_mark() -> None:
    data = header_bytes({}, {"file": "photo\udcff"})
    assert of_bytes(data).texts == {"file": "photo?"} and library_takes(data)


def test_texts_are_sorted_and_tensors_stay_in_order() -> None:
    entries = placed([("b", "F32", (2,)), ("a", "F16", ())])
    assert entries == {"b": Entry("F32", (2,), 0, 8), "a": Entry("F16", (), 8, 10)}
    head = header_bytes(entries, {"z": "1", "a": "2"})
    assert list(json.loads(head[8:])) == [TEXTS, "b", "a"] and list(json.loads(head[8:])[TEXTS]) == ["a", "z"]
    assert TEXTS.encode() not in header_bytes(entries, {})


def test_a_file_that_was_cut_short_is_told_with_what_is_missing() -> None:
    data = one()[:-3]
    header = parse(io.BytesIO(data), len(data))
    assert header.missing == 3 and header.entries["a"].shape == (2,)
    with pytest.raises(ValueError, match="3 bytes of its tensors are missing: it was cut short"):
        header.check_whole()
    for size in range(len(data) - 5):
        with pytest.raises(ValueError, match="its header is cut off"):
            parse(io.BytesIO(data[:size]), size)


class Watched(io.BytesIO):
    """Bytes that remember how many of them were asked for."""

    asked = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.asked += len(self.getvalue()) if size is None or size < 0 else size
        return super().read(size)


def test_a_header_larger_than_any_is_not_read() -> None:
    stream = Watched((1 << 40).to_bytes(8, "little") + b"{}")
    with pytest.raises(ValueError, match="larger than any model's"):
        parse(stream, 1 << 41)
    assert stream.asked == 8


def test_a_shape_of_a_hundred_thousand_sides_is_no_work() -> None:
    assert not is_taken(one(shape=[1 << 60] * 100_000))


def test_a_file_is_recognised_by_its_beginning() -> None:
    data = whole({"a": ONE}, BODY)
    assert looks_like(data[:9], len(data))
    assert not looks_like(data[:9], 20) and not looks_like(data[:8], len(data)) and not looks_like(b"", 0)
    assert not looks_like(whole(b"[]"), 10)


def test_no_other_file_of_the_program_takes_a_header_apart() -> None:
    root = Path(__file__).parents[3] / "twinloop"
    found = {
        path.name
        for path in root.rglob("*.py")
        if '"data_offsets"' in path.read_text() or '"__metadata__"' in path.read_text()
    }
    assert found == {"safetensors_header.py"}
