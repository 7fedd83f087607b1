"""A working directory that many tests of a module begin with: made once, and put back as it was for each of them.

It stays where it is, because a vault notes where its photos lie; and what a test left alone is left alone, because a
scan reads files anew whose times are others.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

Seen = tuple[int, int, int, int]


class Standing:
    """Args:
    root: an empty folder of its own.
    """

    def __init__(self, root: Path) -> None:
        self._kept, self._folder = root / "kept", root / "home"
        self._seen: dict[Path, Seen] = {}

    def again(self, make: Callable[[], object]) -> Path:
        """The directory as ``make``, which is called within it the first time, has left it."""
        if not self._kept.exists():
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir()
            with contextlib.chdir(self._folder):
                make()
            shutil.copytree(self._folder, self._kept, symlinks=True)
            self._seen = {path: _seen(self._folder / path) for path in _files(self._folder)}
            return self._folder
        for path in _files(self._folder) - set(self._seen):
            (self._folder / path).unlink()
        for path, before in self._seen.items():
            target = self._folder / path
            if not os.path.lexists(target) or _seen(target) != before:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.unlink(missing_ok=True)
                shutil.copy2(self._kept / path, target, follow_symlinks=False)
                self._seen[path] = _seen(target)
        self._put_back_folders()
        return self._folder

    def _put_back_folders(self) -> None:
        for here, names, _ in os.walk(self._folder, topdown=False):
            for name in names:
                folder = Path(here, name)
                if not folder.is_symlink() and not (self._kept / folder.relative_to(self._folder)).is_dir():
                    folder.rmdir()
        for here, names, _ in os.walk(self._kept):
            for name in names:
                folder = self._folder / Path(here, name).relative_to(self._kept)
                if not folder.is_symlink():
                    folder.mkdir(exist_ok=True)


def _files(folder: Path) -> set[Path]:
    """All that is no folder, and links to folders, relative to ``folder``."""
    return {
        Path(here, name).relative_to(folder)
        for here, folders, names in os.walk(folder)
        for name in (*names, *(one for one in folders if Path(here, one).is_symlink()))
    }


def _seen(path: Path) -> Seen:
    status = path.lstat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
