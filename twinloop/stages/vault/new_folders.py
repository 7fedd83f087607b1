"""What is said of folders before they are scanned for the first time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from twinloop.errors import InputError, NothingToDo, UnreadableImage
from twinloop.ports import Reporter
from twinloop.stages.vault.opened import ScanRecord
from twinloop.stages.vault.passed_over import Exclusions, counted
from twinloop.stages.vault.walk import Walk
from twinloop.store.pictures.images import SUFFIXES, opened_image
from twinloop.store.pictures.photo_file import read_photo
from twinloop.store.pictures.videos import SUFFIXES as VIDEOS
from twinloop.store.vault.folder import Vault
from twinloop.system import shell


def look_into(vault: Vault, paths: Sequence[Path], exclusions: Exclusions, reporter: Reporter) -> None:
    """Tell a wrong folder, or a wrong file, before anything is made for it.

    Raises:
        InputError: it is not there, or a file that is no picture. NothingToDo: none of the new ones holds a picture.
    """
    for path in paths:
        if not os.path.exists(path):
            raise InputError(f"Folder not found: {path}")
        if path.suffix.lower() not in SUFFIXES and not path.is_dir():
            _check_photo(path)
    known = frozenset(ScanRecord.read(vault).folders) if vault.scan_record.exists() else frozenset()
    given = list(dict.fromkeys(map(os.path.abspath, paths)))
    walk = Walk(frozenset({os.path.realpath(vault.root)}), exclusions=exclusions)
    empty = [path for path in given if path not in known and next(walk.found([Path(path)]), None) is None]
    if empty and len(empty) == len(given):
        raise NothingToDo(
            f"No pictures in {', '.join(empty)}, nor in folders below. Nothing was changed."
            f"{_passed(walk)} A picture is known by its ending: {' '.join(sorted(SUFFIXES))}."
        )
    for folder in empty:
        reporter.warn(f"{folder} holds no pictures")


def _passed(walk: Walk) -> str:
    told = counted(walk.passed, {pattern: count for pattern, count in walk.excluded.items() if count})
    return f" Passed over: {told}." if told else ""


def _check_photo(path: Path) -> None:
    """Raises InputError: a file that was named itself, and is no photo by its name, is none by its content either."""
    try:
        with opened_image(read_photo(path)[1]):
            return
    except UnreadableImage as error:
        text = f"{path} is no folder, and as a photo it cannot be used: it {error}. Nothing was changed."
        if path.suffix.lower() in VIDEOS:
            text += f" To take pictures out of it: twinloop vault frames {shell.quote(str(path))} --output FOLDER"
        raise InputError(text) from error
