"""A LoRA file that a setting of the training names."""

from __future__ import annotations

from pathlib import Path

from twinloop.errors import InputError, StateError
from twinloop.store.atomic import sha256_file


def given_file(path: str, sha256: str, field: str) -> Path:
    """The file, as it was when the training was asked for.

    Args:
        sha256: of what it then was, "" = of any. field: of ``training`` that names it.

    Raises:
        InputError: not there. StateError: it is no longer the same file.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"training.{field}: no such file: {file}.")
    if sha256 and sha256_file(file) != sha256:
        raise StateError(f"{file} was changed since this training was asked for. Put it back, or start anew.")
    return file
