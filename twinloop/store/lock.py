"""One process per output folder, and per vault."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from twinloop.errors import Locked, StorageError
from twinloop.store.atomic import storage_errors
from twinloop.system.files import BINARY, NO_LINK, NO_WAIT


class Use(NamedTuple):
    """What a folder is for: who else may work in it, what to do then, what to do where the file system knows no locks,
    and what to do where it must not be written.
    """

    who: str
    wait: str
    elsewhere: str
    instead: str = "Choose another output folder"


RUN = Use("another run", "Wait for it, or choose another output folder.", "Choose an output folder on a local disk.")
VAULT = Use(
    "another command",
    "Wait until that is done, then run this again.",
    "Put the vault on a local disk (--vault).",
    "Name another vault (--vault)",
)

NAME = ".lock"
"""Of the file that locks a folder."""
_PID_AT = 1
"""Where in the file the pid begins. The first byte is what is locked, and Windows lets nobody else read that."""
_OURS = re.compile(rb"[\d\s\0]{0,32}")
"""All that this program writes into such a file; zeros are what a power cut may leave of it."""
_PAUSES = (0.02, 0.05)
"""Seconds between two tries to lock it: a look at who holds it holds it itself for an instant."""


@contextmanager
def locked(folder: Path, use: Use = RUN) -> Iterator[None]:
    """Hold ``folder/.lock`` (the system's own file lock, so a killed process leaves none behind).

    Raises:
        Locked: another living process works there; the message names its pid. StorageError: the folder cannot be
            written or locked, or something else has the name of the lock.
    """
    path = folder / NAME
    with storage_errors(path, use.instead):
        folder.mkdir(parents=True, exist_ok=True)
        handle = _opened(path, os.O_CREAT)
    try:
        try:
            held = _take(handle)
        except OSError as error:
            raise StorageError(f"{folder} cannot be locked ({error.strerror}). {use.elsewhere}") from error
        if not held:
            raise _refused(handle, folder, use)
        if not _OURS.fullmatch(os.read(handle, 64)):
            raise _not_ours(path)
        try:
            os.ftruncate(handle, 0)
            os.lseek(handle, 0, os.SEEK_SET)
            os.write(handle, f"{' ' * _PID_AT}{os.getpid()}\n".encode())
            yield
        finally:
            # only the holder wipes the pid: a run that was refused must leave it for the next one's message
            with contextlib.suppress(OSError):
                os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def holder(folder: Path) -> Locked | None:
    """Who works in a run's folder, as the error that says so; None = nobody, or the folder cannot be looked into.

    Nothing is written or made: the folder may be a stranger's.
    """
    try:
        handle = _opened(folder / NAME)
    except (OSError, StorageError):
        return None
    try:
        # who holds it is written in it; where nothing is, it is left alone: a run that begins now must not find it held
        if not os.fstat(handle).st_size or _take(handle):
            return None
        return _refused(handle, folder, RUN)
    except OSError:
        return None
    finally:
        os.close(handle)


def _opened(path: Path, flags: int = 0) -> int:
    """A handle of the lock's file itself. A link, which may lead to any file of the user's, or a pipe is no such file.

    Raises:
        StorageError: something else has its name. OSError: it cannot be opened.
    """
    if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
        raise _not_ours(path)
    return os.open(path, os.O_RDWR | NO_LINK | NO_WAIT | BINARY | flags, 0o600)


def _take(handle: int) -> bool:
    """Whether nobody else holds it; it is held then until the handle is closed."""
    from filelock import lock_descriptor  # not at the top: it takes longer than all else that a short command imports

    for pause in _PAUSES:
        if lock_descriptor(handle, blocking=False):
            return True
        time.sleep(pause)
    return lock_descriptor(handle, blocking=False)


def _refused(handle: int, folder: Path, use: Use) -> Locked:
    os.lseek(handle, _PID_AT, os.SEEK_SET)
    pid = os.read(handle, 32).decode(errors="replace").strip() or "?"
    who = f"{use.who} (process {pid})"
    refused = Locked(f"{folder} is in use by {who}. {use.wait}")
    refused.holder, refused.pid = who, pid
    return refused


def _not_ours(path: Path) -> StorageError:
    return StorageError(f"{path} is not what this program locks folders with. Look at it, and move it away.")
