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


class Kind(NamedTuple):
    """What a folder is for: who else may work in it, what to do then, and what to do where the file system knows no
    locks.
    """

    who: str
    wait: str
    elsewhere: str


RUN = Kind("another run", "Wait for it, or choose another output folder.", "Choose an output folder on a local disk.")
VAULT = Kind(
    "another command", "Wait until that is done, then run this again.", "Put the vault on a local disk (--vault)."
)


@contextmanager
def locked(folder: Path, kind: Kind = RUN) -> Iterator[None]:
    """Hold ``folder/.lock`` (the system's own file lock, so a killed process leaves none behind).

    Raises:
        Locked: another living process works there; the message names its pid. StorageError: the folder cannot be
            written or locked.
    """
    import fcntl

    path = folder / ".lock"
    with storage_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 32).decode(errors="replace").strip() or "?"
            raise Locked(f"{folder} is in use by {kind.who} (process {holder}). {kind.wait}") from None
        except OSError as error:
            raise StorageError(f"{folder} cannot be locked ({error.strerror}). {kind.elsewhere}") from error
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            # only the holder wipes the pid: a run that was refused must leave it for the next one's message
            with contextlib.suppress(OSError):
                os.ftruncate(handle, 0)
    finally:
        os.close(handle)
