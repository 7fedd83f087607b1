"""One process per output folder, and per vault."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from twinloop.errors import Locked, StorageError
from twinloop.store.atomic import storage_errors
from twinloop.system.files import BINARY


class Use(NamedTuple):
    """What a folder is for: who else may work in it, what to do then, and what to do where the file system knows no
    locks.
    """

    who: str
    wait: str
    elsewhere: str


RUN = Use("another run", "Wait for it, or choose another output folder.", "Choose an output folder on a local disk.")
VAULT = Use(
    "another command", "Wait until that is done, then run this again.", "Put the vault on a local disk (--vault)."
)

_PID_AT = 1
"""Where in the file the pid begins. The first byte is what is locked, and Windows lets nobody else read that."""


@contextmanager
def locked(folder: Path, use: Use = RUN) -> Iterator[None]:
    """Hold ``folder/.lock`` (the system's own file lock, so a killed process leaves none behind).

    Raises:
        Locked: another living process works there; the message names its pid. StorageError: the folder cannot be
            written or locked.
    """
    from filelock import lock_descriptor  # not at the top: it takes longer than all else that a short command imports

    path = folder / ".lock"
    with storage_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | BINARY, 0o600)
    try:
        try:
            held = lock_descriptor(handle, blocking=False)
        except OSError as error:
            raise StorageError(f"{folder} cannot be locked ({error.strerror}). {use.elsewhere}") from error
        if not held:
            os.lseek(handle, _PID_AT, os.SEEK_SET)
            pid = os.read(handle, 32).decode(errors="replace").strip() or "?"
            who = f"{use.who} (process {pid})"
            refused = Locked(f"{folder} is in use by {who}. {use.wait}")
            refused.holder, refused.pid = who, pid
            raise refused
        try:
            os.ftruncate(handle, 0)
            os.write(handle, f"{' ' * _PID_AT}{os.getpid()}\n".encode())
            yield
        finally:
            # only the holder wipes the pid: a run that was refused must leave it for the next one's message
            with contextlib.suppress(OSError):
                os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def holder(folder: Path) -> Locked | None:
    """Who works in a run's folder, as the error that says so; None = nobody, or the folder cannot be looked into."""
    try:
        # who holds it is written in it; where nothing is, it is left alone: a run that begins now must not find it held
        if not (folder / ".lock").stat().st_size:
            return None
        with locked(folder):  # left behind by a process that was killed; this empties it
            return None
    except Locked as error:
        return error
    except (OSError, StorageError):
        return None
