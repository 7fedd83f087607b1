"""One process per output folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twinloop.errors import Locked, StorageError
from twinloop.store.atomic import storage_errors


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder/.lock`` (the system's own file lock, so a killed process leaves none behind).

    Raises:
        Locked: another living process works there; the message names its pid. StorageError: the folder cannot be written or locked.
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
            raise Locked(
                f"{folder} is in use by another run (process {holder}). Wait for it, or choose another output folder."
            ) from None
        except OSError as error:
            raise StorageError(
                f"{folder} cannot be locked ({error.strerror}). Choose an output folder on a local disk."
            ) from error
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
