"""A training set stays apart from the photos: in a folder of originals, `prep` would write and delete among them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from twinloop.errors import InputError
from twinloop.store.vault.files import VaultFiles
from twinloop.store.vault.folder import Vault


def check_apart(
    vault: Vault, folders: Iterable[str | Path], output: Path, flag: str = "--output", made: str = "the training set"
) -> None:
    """Whether a folder of the user's choice lies apart from all scanned ones.

    The vault itself is never scanned, so a place in it is apart also where the vault lies in a scanned folder.

    Args:
        flag: that it was chosen with. made: what would be written there.

    Raises:
        InputError: it is one of them, contains one, or lies below one.
    """
    for folder in map(Path, folders):
        if _at_or_above(folder, output) and not (_at_or_above(vault.root, output) and _at_or_above(folder, vault.root)):
            what = "is" if _at_or_above(output, folder) else "lies in"
        elif _at_or_above(output, folder):
            what = "contains"
        else:
            continue
        raise InputError(
            f"{flag} {output} {what} {folder}, which is scanned for photos: {made} would be written among the"
            " originals. Nothing was changed. Choose a folder apart from the photos."
        )


def originals_in(files: VaultFiles, root: Path) -> Callable[[Path], bool]:
    """A test of paths below ``root``: whether the file there is one that was scanned, by whatever way it is reached."""
    names = frozenset(_names_below(root))
    originals = {_key(path) for path in files.called_any(names)} - {None} if names else set()
    return lambda path: _key(path) in originals


def _names_below(root: Path) -> Iterator[str]:
    """The names of all files below a folder, also behind links to folders."""
    seen = set()
    for top, folders, files in os.walk(root, followlinks=True):
        key = _key(Path(top))
        if key in seen:
            folders.clear()
            continue
        seen.add(key)
        yield from files


def _at_or_above(top: Path, path: Path) -> bool:
    """Whether ``path`` is ``top`` or lies below it, whatever names lead there; neither need be there."""
    real, inner = Path(os.path.realpath(top)), Path(os.path.realpath(path))
    if inner.is_relative_to(real):
        return True
    key = _key(real)  # under another spelling on a file system that knows no case, or mounted at two places
    return key is not None and any(_key(place) == key for place in (inner, *inner.parents))


def _key(path: Path) -> tuple[int, int] | None:
    """Which file or folder this is; None where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
