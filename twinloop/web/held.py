"""Who works in a run's folder, whether this server started it or not."""

from __future__ import annotations

from pathlib import Path

from twinloop.errors import Locked, StorageError
from twinloop.store.lock import locked


def holder(folder: Path) -> str | None:
    """The process that holds a run's folder, in words; None = nobody, or the folder cannot be looked into."""
    try:
        # who holds it is written in it; where nothing is, it is left alone: a run that begins now must not find it held
        if not (folder / ".lock").stat().st_size:
            return None
        with locked(folder):  # left behind by a process that was killed; this empties it
            return None
    except Locked as error:
        return error.holder
    except (OSError, StorageError):
        return None
