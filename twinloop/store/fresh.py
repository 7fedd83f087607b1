"""A folder that a failed command made goes again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from twinloop.errors import Locked
from twinloop.store.lock import holder


@contextmanager
def fresh_folder(folder: Path, worth_keeping: Callable[[Path], bool]) -> Iterator[None]:
    """Work in ``folder``, which may not be there yet.

    Where the work fails and it was not there before, it is taken away with the parents that were made for it, unless it
    holds something ``worth_keeping``. A folder that was there stays as the work left it, and so does one that is
    interrupted or that another process holds.
    """
    top = _first_missing(folder)
    try:
        yield
    except Exception as error:
        others = isinstance(error, Locked) and holder(folder) is not None
        if top is not None and not others and folder.is_dir() and not worth_keeping(folder):
            shutil.rmtree(folder, ignore_errors=True)
            _remove_empty(folder.absolute().parent, top)
        raise


def _first_missing(folder: Path) -> Path | None:
    """The highest folder that has to be made for this one; None where it is there."""
    missing = [place for place in (folder.absolute(), *folder.absolute().parents) if not place.exists()]
    return missing[-1] if missing else None


def _remove_empty(folder: Path, top: Path) -> None:
    """The folders from ``folder`` up to ``top``, as far as nothing else lies in them."""
    while folder.is_relative_to(top):
        try:
            folder.rmdir()
        except OSError:  # something else lies there by now
            return
        folder = folder.parent
