"""Progress beside a folder's lock."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from twinloop.store import progress as noting
from twinloop.store.progress import EVERY, NAME, NotedProgress, Progress, progress_cleared, progress_in

PID = str(os.getpid())


class Heard:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[object] = []

    def line(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.said.append(("warning", text))

    def progress(self, label: str, done: float, total: int) -> None:
        self.said.append((label, done, total))


class Watch:
    """A clock that is turned by hand."""

    time = 50.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def told(tmp_path: Path, watch: Watch) -> NotedProgress:
    return NotedProgress(tmp_path, Heard(), watch)


def test_it_is_noted_once_a_second_and_when_a_step_begins_or_ends(
    tmp_path: Path, told: NotedProgress, watch: Watch
) -> None:
    seen = []
    for label, done, later in (
        ("Training (loss 2)", 0, 0.0),
        ("Training (loss 1)", 1, EVERY / 2),
        ("Training (loss 0.5)", 2, EVERY / 2),
        ("Training (loss 0.4)", 3, 0.1),
        ("Training (loss 0.3)", 9, 0.1),
        ("Measuring", 0, 0.1),
    ):
        watch.time += later
        told.progress(label, done, 9)
        found = progress_in(tmp_path, PID)
        assert found is not None
        seen.append((found.label, found.done))
    assert seen == [
        ("Training (loss 2)", 0),
        ("Training (loss 2)", 0),
        ("Training (loss 0.5)", 2),
        ("Training (loss 0.5)", 2),
        ("Training (loss 0.3)", 9),
        ("Measuring", 0),
    ]


def test_all_is_passed_on_and_a_line_ends_a_step(tmp_path: Path) -> None:
    heard = Heard()
    told = NotedProgress(tmp_path, heard)
    told.progress("Scanning", 1.256, 4)
    told.warn("one is broken")
    assert progress_in(tmp_path, PID) == Progress("Scanning", 1.26, 4)
    told.line("scanned")
    assert progress_in(tmp_path, PID) is None
    told.progress("Scanning", 2, 4)
    assert progress_in(tmp_path, PID) == Progress("Scanning", 2, 4)
    assert heard.said == [("Scanning", 1.256, 4), ("warning", "one is broken"), "scanned", ("Scanning", 2, 4)]


def test_only_the_note_of_the_process_that_works_there_counts(tmp_path: Path, told: NotedProgress) -> None:
    told.progress("Training", 1, 9)
    assert progress_in(tmp_path, "1234567") is None and progress_in(tmp_path / "nowhere", PID) is None


def test_what_a_killed_process_left_goes_when_the_next_one_begins_and_its_own_at_the_end(
    tmp_path: Path, told: NotedProgress
) -> None:
    """In a container each process may have the same number."""
    told.progress("Training", 1, 9)
    with progress_cleared(tmp_path):
        assert progress_in(tmp_path, PID) is None
        NotedProgress(tmp_path, Heard()).progress("Measuring", 1, 9)
        assert progress_in(tmp_path, PID) == Progress("Measuring", 1, 9)
    with pytest.raises(KeyboardInterrupt), progress_cleared(tmp_path):
        told.progress("Training", 2, 9)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_it_is_for_the_owner_alone(tmp_path: Path, told: NotedProgress) -> None:
    told.progress("Captioning", 1, 9)
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("call", ["open", "replace"])
@pytest.mark.parametrize("problem", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_where_it_cannot_be_written_nothing_else_is_stopped(
    tmp_path: Path, told: NotedProgress, watch: Watch, monkeypatch: pytest.MonkeyPatch, call: str, problem: int
) -> None:
    """A full disk, a read-only one; Windows, where a reader has it open."""

    def refuse(*_: object) -> None:
        raise OSError(problem, os.strerror(problem))

    told.progress("Training", 1, 9)
    with monkeypatch.context() as patch:
        patch.setattr(noting.os, call, refuse)
        watch.time += EVERY
        told.progress("Training", 2, 9)
    assert [path.name for path in tmp_path.iterdir()] == [NAME] and progress_in(tmp_path, PID) == Progress(
        "Training", 1, 9
    )
    watch.time += EVERY
    told.progress("Training", 3, 9)
    assert progress_in(tmp_path, PID) == Progress("Training", 3, 9)


def test_a_folder_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    heard = Heard()
    NotedProgress(tmp_path / "gone", heard).progress("Training", 1, 9)
    assert heard.said == [("Training", 1, 9)] and not (tmp_path / "gone").exists()


def test_an_interruption_leaves_no_half_of_a_note(
    tmp_path: Path, told: NotedProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(noting.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        told.progress("Training", 1, 9)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "said",
    [
        "", "[]", "{", "null", '{"pid": 0}', '{"label": 7, "done": 1, "total": 2}', '{"label": "x", "done": 1}',
        '{"label": "x", "done": "1", "total": 2}', '{"label": "x", "done": NaN, "total": 2}',
        '{"label": "x", "done": 1, "total": null}',
    ],
)  # fmt: skip
def test_somebody_elses_file_says_nothing(tmp_path: Path, said: str) -> None:
    if said.startswith('{"label"'):
        said = said.replace("{", f'{{"pid": {PID}, ')
    (tmp_path / NAME).write_text(said)
    assert progress_in(tmp_path, PID) is None


def test_a_link_or_a_pipe_in_its_place_is_neither_followed_nor_waited_for(tmp_path: Path) -> None:
    own = tmp_path / "thesis.json"
    own.write_text(json.dumps({"ten": "years"}))
    for make in (lambda place: place.symlink_to(own), os.mkfifo):
        make(tmp_path / NAME)
        assert progress_in(tmp_path, PID) is None
        told = NotedProgress(tmp_path, Heard())
        told.progress("Training", 1, 9)
        assert progress_in(tmp_path, PID) == Progress("Training", 1, 9)
        told.line("done")
    assert json.loads(own.read_text()) == {"ten": "years"}
