"""Files that a user names for a command to write its answer to."""

from __future__ import annotations

import os
from pathlib import Path

from twinloop.errors import InputError
from twinloop.store.atomic import check_writable, storage_errors

_BLANK = b" \t\r\n"
_LOOKED_AT = 64


def json_output(path: Path) -> Path:
    """Where JSON that a user wants in ``path`` is to be written: what a link leads to, else the path itself.

    Asked before long work. A file that is there and is no JSON is somebody else's (a photo, by a slip of the hand) and
    stays as it is.

    Raises:
        InputError: a folder, below a file, or something else's file. StorageError: not permitted.
    """
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    check_writable(target)
    if target.is_file():
        with storage_errors(target), open(target, "rb") as file:
            beginning = file.read(_LOOKED_AT).lstrip(_BLANK)
        if beginning[:1] not in (b"", b"{", b"["):
            raise InputError(f"{path} was there before and is no JSON file: it is not overwritten. Name another file.")
    return target
