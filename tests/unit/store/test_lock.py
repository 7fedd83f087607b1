"""One process per output folder."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from twinloop.errors import Locked, StorageError
from twinloop.store import lock
from twinloop.store.lock import holder, locked


def test_the_second_run_is_refused_and_told_the_pid(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(Locked, match=f"process {os.getpid()}") as refused, locked(tmp_path):
        pass
    assert (refused.value.holder, refused.value.pid) == (f"another run (process {os.getpid()})", str(os.getpid()))


def test_a_refused_run_leaves_the_holders_pid_for_the_next(tmp_path: Path) -> None:
    with locked(tmp_path):
        for _ in range(2):
            with pytest.raises(Locked, match=f"process {os.getpid()}"), locked(tmp_path):
                pass


def test_the_lock_ends_with_its_block_also_on_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), locked(tmp_path / "new"):
        raise KeyboardInterrupt
    with locked(tmp_path / "new"):
        assert (tmp_path / "new" / ".lock").read_text().strip() == str(os.getpid())
    assert (tmp_path / "new" / ".lock").read_bytes() == b""


def test_a_file_left_by_a_killed_process_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("4242\n")
    with locked(tmp_path):
        assert (tmp_path / ".lock").read_text().strip() == str(os.getpid())


def test_who_works_in_a_folder_is_known_without_working_there(tmp_path: Path) -> None:
    assert holder(tmp_path) is None and not (tmp_path / ".lock").exists()
    with locked(tmp_path):
        found = holder(tmp_path)
        assert found is not None and found.pid == str(os.getpid())
    (tmp_path / ".lock").write_text(" 4242\n")  # of a process that was killed
    assert holder(tmp_path) is None and (tmp_path / ".lock").read_bytes() == b" 4242\n", "looked at, and not touched"


@pytest.mark.parametrize("flag", [True, False], ids=["refused by the system", "no such flag"])
def test_a_link_in_its_place_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: bool) -> None:
    """It came with somebody else's folder, and leads to a file of the user's."""
    if not flag:
        monkeypatch.setattr(lock, "NO_LINK", 0)
    for name, text in (("thesis.txt", "ten years of work\n"), ("pin.txt", "4242\n"), ("not there", None)):
        own, folder = tmp_path / name, tmp_path / f"folder {name}"
        if text is not None:
            own.write_text(text)
        folder.mkdir()
        (folder / ".lock").symlink_to(own)
        assert holder(folder) is None
        with pytest.raises(StorageError, match="move it away"), locked(folder):
            pass
        assert (own.read_text() if own.exists() else None) == text


def test_a_link_that_takes_its_place_between_two_looks_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "thesis.txt"
    own.write_text("42")
    (tmp_path / ".lock").symlink_to(own)
    monkeypatch.setattr(os.path, "lexists", lambda path: False)
    with pytest.raises(OSError), locked(tmp_path):
        pass
    assert own.read_text() == "42"


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".lock")
    assert holder(tmp_path) is None
    with pytest.raises(StorageError, match="move it away"), locked(tmp_path):
        pass


def test_what_this_program_did_not_write_is_not_emptied(tmp_path: Path) -> None:
    """Another name of a file of the user's, which no link shows."""
    own = tmp_path / "thesis.txt"
    own.write_text("2026 was a year of work\n")
    os.link(own, tmp_path / ".lock")
    assert holder(tmp_path) is None
    with pytest.raises(StorageError, match="move it away"), locked(tmp_path):
        pass
    assert own.read_text() == "2026 was a year of work\n"


def test_a_look_that_holds_it_for_an_instant_is_nobody_who_works_there(tmp_path: Path) -> None:
    import fcntl

    with locked(tmp_path):
        pass
    (tmp_path / ".lock").write_text(" 4242\n")
    with open(tmp_path / ".lock") as looking:
        fcntl.flock(looking, fcntl.LOCK_EX)
        ends = threading.Timer(0.03, fcntl.flock, (looking, fcntl.LOCK_UN))
        ends.start()
        with locked(tmp_path):
            pass
        ends.join()


def test_the_byte_that_is_locked_is_not_needed_to_read_the_pid(tmp_path: Path) -> None:
    """Windows lets nobody else read it."""
    with locked(tmp_path):
        assert (tmp_path / ".lock").read_bytes() == f" {os.getpid()}\n".encode()


def test_a_disk_that_cannot_lock_is_not_called_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def refuse(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageError, match="cannot be locked"), locked(tmp_path):
        pass
