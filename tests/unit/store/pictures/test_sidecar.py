"""Captions and consent that lie beside photos."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from twinloop.domain.vault import Consent
from twinloop.errors import StateError
from twinloop.store.pictures.sidecar import (
    LARGEST,
    caption_beside,
    consent_of,
    has_more_lines,
    person_beside,
    trigger_of,
)


def test_no_caption_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" \n")
    (tmp_path / "b.txt").write_text("of another photo")
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "a.png", "text": "  "}) + "\n")
    assert caption_beside(tmp_path / "a.png") is None


@pytest.mark.parametrize("suffix", [".txt", ".caption"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_the_first_line_with_words_is_the_caption(tmp_path: Path, suffix: str, ending: str) -> None:
    lines = ("\ufeff", "  ", " ohwx, in  a café\u2028here", "another variant")
    (tmp_path / f"a{suffix}").write_bytes(ending.join(lines).encode())
    assert caption_beside(tmp_path / "a.png") == "ohwx, in a café here"
    assert has_more_lines(tmp_path / "a.png")


def test_lines_without_words_are_no_further_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\r\nohwx\r\n \r\n")
    assert not has_more_lines(tmp_path / "a.png") and not has_more_lines(tmp_path / "b.png")


def test_bytes_that_are_no_text_do_not_stop_anything(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"ohwx \xff here")
    assert caption_beside(tmp_path / "a.png") == "ohwx \ufffd here"


def test_a_long_text_is_no_caption(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("word " * LARGEST)
    assert caption_beside(tmp_path / "a.png") is None


def test_metadata_jsonl_is_read_and_read_again_when_it_changes(tmp_path: Path) -> None:
    record = tmp_path / "metadata.jsonl"
    record.write_text(json.dumps({"file_name": "a.png", "text": "ohwx here"}) + "\nnot json\n[1]\n")
    assert caption_beside(tmp_path / "a.png") == "ohwx here"
    record.write_text(json.dumps({"file_name": "a.png", "text": "ohwx somewhere else"}) + "\n")
    assert caption_beside(tmp_path / "a.png") == "ohwx somewhere else"
    (tmp_path / "a.txt").write_text("the file wins")
    assert caption_beside(tmp_path / "a.png") == "the file wins"


def test_a_line_separator_within_a_caption_ends_no_line(tmp_path: Path) -> None:
    line = json.dumps({"file_name": "a.png", "text": "one\u2028two\x85three"}, ensure_ascii=False)
    (tmp_path / "metadata.jsonl").write_bytes(f"{line}\r\n{line.replace('a.png', 'b.png')}\n".encode())
    assert caption_beside(tmp_path / "a.png") == caption_beside(tmp_path / "b.png") == "one two three"


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_called_metadata_and_is_no_file_says_nothing(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "metadata.jsonl")
    assert caption_beside(tmp_path / "a.png") is None


def test_a_metadata_that_could_not_be_read_is_read_when_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "a.png", "text": "ohwx here"}))

    def refusing(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", refusing)
        assert caption_beside(tmp_path / "a.png") is None
    assert caption_beside(tmp_path / "a.png") == "ohwx here"


def test_consent_is_found_in_the_folder_or_above_a_kohya_folder(tmp_path: Path) -> None:
    given = Consent("written", "alice", "2024-05-06", "training")
    inner = tmp_path / "10_ohwx woman"
    inner.mkdir()
    assert consent_of(inner).text == "not recorded"
    (tmp_path / "person.json").write_text(json.dumps({"consent": given.to_json()}))
    assert consent_of(tmp_path) == consent_of(inner) == given


@pytest.mark.parametrize("data", [{"name": "a pet project"}, {"consent": "self"}, []])
def test_a_person_json_of_somebody_elses_says_nothing(tmp_path: Path, data: object) -> None:
    (tmp_path / "person.json").write_text(json.dumps(data))
    assert person_beside(tmp_path) == {} and consent_of(tmp_path) == Consent()


def test_a_damaged_record_is_not_guessed_at(tmp_path: Path) -> None:
    (tmp_path / "person.json").write_text("{")
    with pytest.raises(StateError, match=r"person\.json"):
        consent_of(tmp_path)


def test_the_trigger_is_the_one_the_folder_was_prepared_with(tmp_path: Path) -> None:
    assert trigger_of(tmp_path) is None
    (tmp_path / "person.json").write_text(json.dumps({"consent": {}, "trigger": "ohwx alice"}))
    assert trigger_of(tmp_path) == "ohwx alice"
    record = {"consent": {}, "trigger": "ohwx alice", "prompt": "ohwx alice woman"}
    (tmp_path / "person.json").write_text(json.dumps(record))
    assert trigger_of(tmp_path) == "ohwx alice woman", "as its captions begin"


@pytest.mark.parametrize("trigger", ["", "  ", 7, None])
def test_a_trigger_that_says_nothing_is_none(tmp_path: Path, trigger: object) -> None:
    (tmp_path / "person.json").write_text(json.dumps({"consent": {}, "trigger": trigger}))
    assert trigger_of(tmp_path) is None


def test_lines_of_metadata_that_are_too_deep_or_hold_half_a_sign_stop_nothing(tmp_path: Path) -> None:
    half = '{"file_name": "a.png", "text": "ohwx \\ud83d here"}'
    (tmp_path / "metadata.jsonl").write_text(f"{'[' * 200_000}\n{half}\n")
    assert caption_beside(tmp_path / "a.png") == "ohwx \ufffd here"
