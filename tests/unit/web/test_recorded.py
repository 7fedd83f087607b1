"""Records are parsed once for each content."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from twinloop.errors import InputError, StateError
from twinloop.store.atomic import write_json
from twinloop.web.recorded import recorded


def test_the_same_file_is_parsed_once_and_a_replaced_one_again(tmp_path: Path) -> None:
    path = tmp_path / "verdicts_iter1.json"
    write_json(path, {"verdicts": [1]})
    first = recorded(path)
    assert first == {"verdicts": [1]}
    assert recorded(path) is first
    write_json(path, {"verdicts": [2]})
    assert recorded(path) == {"verdicts": [2]}


def test_a_missing_or_broken_file_is_an_error_every_time(tmp_path: Path) -> None:
    path = tmp_path / "panel.json"
    for _ in range(2):
        with pytest.raises(InputError):
            recorded(path)
    path.write_text("{")
    for _ in range(2):
        with pytest.raises(StateError):
            recorded(path)


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "panel.json"
    os.mkfifo(path)
    with pytest.raises(StateError, match="no file"):
        recorded(path)
