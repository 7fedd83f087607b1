"""A process that works for another one is found by its note, while it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from twinloop.store.noted_process import note_process, noted_process


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def test_it_is_found_while_it_runs(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    note = tmp_path / "trainer.pid"
    assert noted_process(note) is None
    note_process(note, sleeper.pid)
    found = noted_process(note)
    assert found is not None and found.process.pid == sleeper.pid and found.owner is None, "this process is the owner"
    sleeper.kill()
    sleeper.wait()
    assert noted_process(note) is None


def test_another_owner_that_lives_is_told(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    note = tmp_path / "trainer.pid"
    note_process(note, sleeper.pid)
    data = json.loads(note.read_text())
    assert data["owner"]["pid"] == os.getpid()
    note.write_text(json.dumps({**data, "owner": {"pid": data["pid"], "started": data["started"]}}))
    found = noted_process(note)
    assert found is not None and found.owner is not None and found.owner.pid == sleeper.pid
    note.write_text(json.dumps({**data, "started": data["started"] - 3600}))
    assert noted_process(note) is None, "another process has that number now"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": "1"}', '{"pid": 1, "started": null}'])
def test_a_damaged_note_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "trainer.pid").write_text(text)
    assert noted_process(tmp_path / "trainer.pid") is None
